"""Running notebooks headlessly: what they declare, the strict runner, their contract, studies."""
