"""One file per channel; driver errors become SendFailed."""
