"""The steps of an audit, in the order in which `isogloss.audit.audit` takes them."""
