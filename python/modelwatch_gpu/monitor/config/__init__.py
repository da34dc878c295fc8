"""The config of a monitor: one YAML file, checked before anything is read or written."""
