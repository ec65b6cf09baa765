"""Images, scenes and other data sources. Import the module you need, for example `percept.data.scenes`."""
