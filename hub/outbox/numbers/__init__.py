"""What the vendor lets our numbers do: blocked, silenced or well, known to every process."""
