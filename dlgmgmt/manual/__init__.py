"""The manual: what every parameter, function, statistic, command and variable does, as data."""
