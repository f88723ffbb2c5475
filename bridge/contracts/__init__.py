"""The four contracts: what crosses stagebus' edges as a message or as a row, as typed models.

The limits are those that SQL enforces; tests/contracts tries both at their edges. Every field says
who sets it. docs/contracts.md says how versions live side by side, docs/schemas/ holds the JSON
Schemas (`python -m bridge.schemas` writes them).
"""
