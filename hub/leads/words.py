"""What is said about leads, in both languages. Words only; when they are true, others decide."""

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["id", "en"]

TEXTS: Final[Mapping[Language, Mapping[str, str]]] = {
    "id": {
        "test": "🧪 TES - bukan pelanggan sungguhan\n",
        "offer": "🔔 Lead baru: {model}\n📍 {area}, {km} km dari {dealer}\n"
        "💳 {payment} · 🗓️ {buy_when}\n\nYang pertama menekan *Claim* mendapatkannya.",
        "card": "🏆 Lead ini milik Anda.\n\nNama: {name}\nNomor: {phone}\nLokasi: {area}\n"
        "Model: {model}\nPembayaran: {payment}\nRencana beli: {buy_when}\n{transcript}\n"
        "Hubungi sebelum {due}. Setelah terjual kirim: MENANG <nomor seri>",
        "card_template": "Nama {name}, nomor {phone}, {area}, {model}, {payment}, {buy_when}",
        "transcript": "\nPercakapan:\n{lines}\n",
        "too_slow": "❌ Too Slow. {first_name} ({dealer}) lebih cepat {seconds} detik.",
        "yours": "✅ Lead ini sudah milik Anda.",
        "expired": "⌛ Lead ini sudah tidak tersedia.",
        "reminder": "⏰ {name} ({phone}) menunggu dihubungi. Jika belum dihubungi sampai {due}, "
        "lead ini ditawarkan ke dealer lain.",
        "taken_back": "↩️ Lead {model} di {area} diambil kembali: {reason}.",
        "given": "📥 Lead ini diserahkan kepada Anda.",
        "stopped": "🛑 Pelanggan {name} meminta berhenti menerima pesan. "
        "Jangan kirim WhatsApp lagi.",
        "again": "🔁 {name} ({phone}) menghubungi kami lagi.",
        "sold": "🧾 Lead {model} di {area} sudah terjual, terima kasih.",
        "won": "🎉 Penjualan {serial} tercatat. Selamat!",
        "ask_serial": "Kirim: MENANG <nomor seri>",
        "serial_unreadable": "Nomor seri itu tidak terbaca. Kirim: MENANG <nomor seri>",
        "serial_taken": "Nomor seri {serial} sudah tercatat pada penjualan lain. Periksa kembali.",
        "won_waits": "✅ {serial} dicatat. Menunggu penjualan dari kasir.",
        "fell_back": "Penjualan {serial} tidak ditemukan di kasir. "
        "Status lead kembali seperti semula.",
        "noted_contacted": "✅ Dicatat: sudah dihubungi.",
        "noted_demo": "✅ Dicatat: test ride dijadwalkan.",
        "noted_lost": "✅ Dicatat: tidak jadi membeli.",
        "not_now": "Itu tidak bisa lagi untuk lead ini.",
        "no_lead": "Anda tidak memegang lead terbuka.",
        "which_lead": "Lead yang mana?",
        "my_leads": "Lead terbuka Anda:\n{lines}",
        "my_lead": "• {model}, {area}: {state}",
        "state_CLAIMED": "belum dihubungi",
        "state_CONTACTED": "sudah dihubungi",
        "state_DEMO_SCHEDULED": "test ride",
        "state_WON_REPORTED": "menunggu penjualan kasir",
        "morning": "Selamat pagi {first_name}. Tekan Siap bila Anda bertugas hari ini, "
        "supaya lead baru langsung sampai kepada Anda.",
        "ready": "✅ Siap. Anda menerima lead sampai {until}.",
        "greeting": "Selamat pagi, {first_name}! Tekan *Siap* untuk menerima lead hari ini.",
        "off_today": "✅ Libur hari ini dicatat. Anda tidak menerima lead sampai besok.",
        "not_known": "Nomor ini tidak terdaftar untuk lead itu.",
        "rep_words": "Perintah: SIAP · LEAD · MENANG <nomor seri> · LIBUR",
        "customer_greeting": "Halo {name}, terima kasih atas minat Anda pada motor listrik kami. "
        "Balas pesan ini dengan lokasi Anda agar dealer terdekat dapat membantu. "
        "Balas BERHENTI bila tidak ingin dihubungi.",
        "dear_customer": "Bapak/Ibu",
        "told_dealers": "Terima kasih! Kami sudah memberi tahu {dealers} dealer terdekat. "
        "Salah satunya akan segera menghubungi Anda.",
        "told_waiting": "Terima kasih! Dealer terdekat buka lagi {opens}. "
        "Anda akan dihubungi setelah itu.",
        "told_waiting_unknown": "Terima kasih! Kami akan menghubungi Anda "
        "begitu ada dealer yang siap.",
        "told_dealer": "Terima kasih! Kami sudah memberi tahu dealer terdekat. "
        "Dealer itu akan segera menghubungi Anda.",
        "told_customer": "{first_name} dari {dealer} akan menghubungi Anda.",
        "told_address": "Alamat: {address}.",
        "checkin": "Apakah {first_name} dari {dealer} sudah menghubungi Anda?",
        "sorry": "Maaf. Kami mencarikan dealer lain untuk Anda.",
        "thanks": "Terima kasih!",
        "mail_subject": "Lead menunggu: {model}, {area}",
        "mail_text": "Sebuah lead menunggu dealer Anda, dan tim Anda tidak terjangkau lewat "
        "WhatsApp.\n\nModel: {model}\nLokasi: {area}\nPembayaran: {payment}\n"
        "Rencana beli: {buy_when}\n\nYang pertama menekan Claim di portal mendapatkannya:\n"
        "{link}\n",
        "claim": "Claim",
        "skip": "Lewati",
        "contacted": "Sudah dihubungi",
        "demo": "Test ride",
        "lost": "Tidak jadi",
        "siap": "Siap",
        "yes": "Sudah",
        "no": "Belum",
        "choose": "Pilih lead",
        "cash": "tunai",
        "instalments": "kredit",
        "unknown": "belum diketahui",
        "now": "sekarang",
        "month": "bulan ini",
        "later": "nanti",
        "any_model": "model belum dipilih",
        "no_area": "lokasi belum diketahui",
        "no_phone": "lihat WhatsApp",
        "no_name": "tanpa nama",
        "reason_contact": "belum dihubungi tepat waktu",
        "reason_denied": "pelanggan belum dihubungi",
        "reason_released": "dikembalikan",
        "reason_transferred": "diserahkan ke orang lain",
        "reason_closed": "ditutup",
    },
    "en": {
        "test": "🧪 TEST - not a real customer\n",
        "offer": "🔔 New lead: {model}\n📍 {area}, {km} km from {dealer}\n"
        "💳 {payment} · 🗓️ {buy_when}\n\nThe first to tap *Claim* gets it.",
        "card": "🏆 This lead is yours.\n\nName: {name}\nNumber: {phone}\nPlace: {area}\n"
        "Model: {model}\nPayment: {payment}\nWants to buy: {buy_when}\n{transcript}\n"
        "Get in touch before {due}. Once sold send: MENANG <serial>",
        "card_template": "Name {name}, number {phone}, {area}, {model}, {payment}, {buy_when}",
        "transcript": "\nConversation:\n{lines}\n",
        "too_slow": "❌ Too Slow. {first_name} ({dealer}) was {seconds} s faster.",
        "yours": "✅ This lead is yours already.",
        "expired": "⌛ This lead is no longer available.",
        "reminder": "⏰ {name} ({phone}) is waiting to hear from you. Without contact by {due} "
        "the lead is offered to other dealers.",
        "taken_back": "↩️ The lead {model} in {area} was taken back: {reason}.",
        "given": "📥 This lead was given to you.",
        "stopped": "🛑 The customer {name} asked for no more messages. Do not write on WhatsApp.",
        "again": "🔁 {name} ({phone}) has written to us again.",
        "sold": "🧾 The lead {model} in {area} has bought, thank you.",
        "won": "🎉 The sale of {serial} is on the ledger. Well done!",
        "ask_serial": "Send: MENANG <serial>",
        "serial_unreadable": "That serial cannot be read. Send: MENANG <serial>",
        "serial_taken": "Serial {serial} already stands on another sale. Please check.",
        "won_waits": "✅ {serial} noted. Waiting for the sale from the till.",
        "fell_back": "No sale of {serial} came from the till. The lead is as it was before.",
        "noted_contacted": "✅ Noted: contacted.",
        "noted_demo": "✅ Noted: test ride agreed.",
        "noted_lost": "✅ Noted: not buying.",
        "not_now": "That is not possible for this lead any more.",
        "no_lead": "You hold no open lead.",
        "which_lead": "Which lead?",
        "my_leads": "Your open leads:\n{lines}",
        "my_lead": "• {model}, {area}: {state}",
        "state_CLAIMED": "to be contacted",
        "state_CONTACTED": "contacted",
        "state_DEMO_SCHEDULED": "test ride",
        "state_WON_REPORTED": "waiting for the till",
        "morning": "Good morning {first_name}. Tap Ready if you work today, "
        "so that new leads reach you at once.",
        "ready": "✅ Ready. You receive leads until {until}.",
        "greeting": "Good morning, {first_name}! Tap *Ready* to receive leads today.",
        "off_today": "✅ Noted: off today. You receive no leads until tomorrow.",
        "not_known": "This number is not registered for that lead.",
        "rep_words": "Words: SIAP · LEAD · MENANG <serial> · LIBUR",
        "customer_greeting": "Hello {name}, thank you for your interest in our electric scooters. "
        "Answer with your location so that the nearest dealer can help. "
        "Answer STOP if you do not want to be contacted.",
        "dear_customer": "there",
        "told_dealers": "Thank you! We have told the {dealers} nearest dealers. "
        "One of them will contact you shortly.",
        "told_waiting": "Thank you! The nearest dealer opens {opens}. You will be contacted then.",
        "told_waiting_unknown": "Thank you! We will contact you as soon as a dealer is ready.",
        "told_dealer": "Thank you! We have told the nearest dealer, who will contact you shortly.",
        "told_customer": "{first_name} of {dealer} will contact you.",
        "told_address": "Address: {address}.",
        "checkin": "Has {first_name} of {dealer} contacted you?",
        "sorry": "Sorry. We are looking for another dealer for you.",
        "thanks": "Thank you!",
        "mail_subject": "A lead is waiting: {model}, {area}",
        "mail_text": "A lead is waiting for your store, and your people cannot be reached on "
        "WhatsApp.\n\nModel: {model}\nPlace: {area}\nPayment: {payment}\n"
        "Wants to buy: {buy_when}\n\nThe first to press Claim in the portal gets it:\n{link}\n",
        "claim": "Claim",
        "skip": "Skip",
        "contacted": "Contacted",
        "demo": "Demo",
        "lost": "Lost",
        "siap": "Ready",
        "yes": "Yes",
        "no": "No",
        "choose": "Choose a lead",
        "cash": "cash",
        "instalments": "instalments",
        "unknown": "not known yet",
        "now": "now",
        "month": "this month",
        "later": "later",
        "any_model": "model not chosen yet",
        "no_area": "place not known yet",
        "no_phone": "see WhatsApp",
        "no_name": "no name",
        "reason_contact": "not contacted in time",
        "reason_denied": "the customer was not contacted",
        "reason_released": "given back",
        "reason_transferred": "given to somebody else",
        "reason_closed": "closed",
    },
}


def words(language: str, key: str, **values: object) -> str:
    """One text in a language; Indonesian where we speak none of theirs."""
    return TEXTS["en" if language == "en" else "id"][key].format(**values)
