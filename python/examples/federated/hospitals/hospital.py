"""A hospital: its workspace answers, and never leaves."""

from sisa import Workspace, federated, flower


def site(context):
    return federated.Site(context.node_config["name"], Workspace(context.node_config["workspace"], threads=1))


app = flower.client_app(site)
