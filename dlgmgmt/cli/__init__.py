"""The command-line programs: dlgmgmt (the daemon) and dlgctl (its operator's tool)."""
