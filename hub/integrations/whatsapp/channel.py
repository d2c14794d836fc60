"""One of our numbers at Meta: an outbox channel."""

from hub.integrations.whatsapp.codes import (
    NOT_THIS_TEMPLATE,
    UNUSABLE_TEMPLATE,
    action_of,
    of_status,
)
from hub.integrations.whatsapp.graph import Answer, Graph, Misaddressed, Unreached
from hub.integrations.whatsapp.payloads import Unsendable, addressed, message_of, template_of
from hub.integrations.whatsapp.reading import Object, identifier, objects
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.outbox.messages import Accepted, Address, Failed, Rendered, TemplateUse


class MetaChannel:
    """Implements `hub.outbox.messages.Channel`. For any thread.

    A request whose answer never came is told as unknown, never as refused or repeated: only the
    sender knows whether doubling is worse than silence.
    """

    def __init__(
        self, name: str, *, phone_number_id: str, graph: Graph, templates: TemplateBook
    ) -> None:
        """`name` is the number's in ``[[numbers]]``."""
        self.name = name
        self._path = f"{phone_number_id}/messages"
        self._graph = graph
        self._templates = templates

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """Send one message: as it is in an open window, else as the first template that may be."""
        try:
            if window_open:
                return self._post(addressed(address, message_of(rendered), out_id))
            if rendered.template is None:
                return Failed("unreachable", None, "the window is closed, no template says this")
            return self._as_template(address, rendered.template, out_id)
        except Unsendable as error:
            return Failed("permanent", None, str(error))

    def _as_template(self, address: Address, use: TemplateUse, out_id: str) -> Accepted | Failed:
        """The first template that Meta takes: each refusal here is certain to have sent nothing."""
        failed = Failed("permanent", None, f"no template for {use.purpose} may be used")
        for name, language in self._templates.candidates(use.purpose, use.language):
            result = self._post(addressed(address, template_of(use, name, language), out_id))
            if isinstance(result, Accepted) or result.code not in NOT_THIS_TEMPLATE:
                return _final(result)
            if result.code in UNUSABLE_TEMPLATE:
                self._templates.refused(name, language, result.code)
            failed = Failed("permanent", result.code, f"{name} ({language}): {result.reason}")
        return failed

    def _post(self, message: Object) -> Accepted | Failed:
        try:
            return outcome(self._graph.post(self._path, message))
        except Unreached as error:
            return Failed("unknown" if error.sent else "retry", None, f"no answer: {error}")
        except Misaddressed as error:
            return Failed("stop", None, str(error))


def _final(result: Accepted | Failed) -> Accepted | Failed:
    """A template that is refused for a closed window would go round for ever as a template."""
    if isinstance(result, Failed) and result.action == "template":
        return Failed("permanent", result.code, result.reason)
    return result


def outcome(answer: Answer) -> Accepted | Failed:
    """What an answer to a message means."""
    refusal = answer.refusal
    if refusal is not None:
        action = action_of(refusal.code, status=answer.status, transient=refusal.transient)
        # A phone_number_id that is not ours fails every message: the settings are wrong.
        return Failed("stop" if refusal.gone else action, refusal.code, refusal.reason)
    if not 200 <= answer.status < 300:
        return Failed(of_status(answer.status), None, f"HTTP {answer.status} without an error code")
    for _, message in objects(answer.document.get("messages")):
        provider_id = identifier(message, "id")
        if provider_id is not None:
            return Accepted(provider_id)
    return Failed("unknown", None, "taken, but without an id", answered=True)
