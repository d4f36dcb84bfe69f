"""Whether a result of sshload says more about its own machine than about the server: the one place that all scripts ask."""


def client_bound(result):
    """Why sshload took itself for the limit of this run, as one line; None where it did not, or where there is no result."""
    generator = (result or {}).get("generator", {})
    if not generator.get("client_bound"):
        return None
    said = [remark for remark in generator.get("remarks", []) if remark.startswith("client-bound")]
    return said[0] if said else "client-bound"


def mark(results):
    """What is to be said behind a figure that is made of these results: nothing, or how many of them were bound."""
    results = list(results)
    bound = [why for why in map(client_bound, results) if why]
    if not bound:
        return ""
    return f"  {bound[0]}" if len(results) == 1 else f"  {len(bound)} of {len(results)} runs {bound[0]}"
