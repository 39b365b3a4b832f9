"""A hospital: its workspace answers, and never leaves."""

from sisa import Workspace, federated, flower


def site(context):
    ws = Workspace(context.node_config["workspace"], threads=1)
    # These hospitals lend their constituents for an hour; without `also` they answer with scores alone.
    return federated.Site(context.node_config["name"], ws, also=["constituents"], lease=3600)


app = flower.client_app(site)
