"""The nine clouds as a user writes them: by name, and declared in full. `SECRET` is the place of the secret."""

from __future__ import annotations

from typing import Final

from tests.movers.fakes.providers import UUID, uuid

_IDS: Final = f"{{lb1: {uuid(11)}, lb2: {uuid(12)}}}"
_ROUTE: Final = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/routeTables/T/routes/R"

SHORT: Final = {
    "hetzner": "hetzner: {floating_ip: 42, token: SECRET}",
    "hetzner-robot": "hetzner-robot: {failover_ip: 192.0.2.7, user: '#ws+robot', password: SECRET}",
    "digitalocean": "digitalocean: {reserved_ip: 192.0.2.7, token: SECRET}",
    "linode": "linode: {address: 192.0.2.7, token: SECRET}",
    "vultr": f"vultr: {{reserved_ip: {UUID}, api_key: SECRET}}",
    "scaleway": f"scaleway: {{ip: {UUID}, zone: fr-par-1, secret_key: SECRET}}",
    "openstack": f"""\
openstack:
  {{floating_ip: {UUID}, port: {_IDS},
   auth_url: "https://keystone.test:5000", network_url: "https://neutron.test:9696",
   application_credential: app1, secret: SECRET}}""",
    "azure-route": f"""\
azure-route:
  route: {_ROUTE}""",
    "gcp-route": """\
gcp-route:
  {route: projects/p/global/routes/r, network: default, dest_range: 10.99.0.1/32}""",
}

FULL: Final = {
    "hetzner": """\
http:
  base: https://api.hetzner.cloud/v1
  auth: {bearer: SECRET}
  self: {get: "http://169.254.169.254/hetzner/v1/metadata/instance-id"}
  holder: {get: /floating_ips/42, pick: floating_ip.server}
  acquire:
    - {post: /floating_ips/42/actions/assign, json: {server: "{self|int}"}, save: {id: action.id}}
    - {get: "/actions/{id}", until: {action.status: success}, fail: {action.status: error}}""",
    "hetzner-robot": """\
http:
  base: https://robot-ws.your-server.de
  auth: {basic: {user: '#ws+robot', password: SECRET}, lockout: 10m}
  self: address
  holder: {get: /failover/192.0.2.7, pick: failover.active_server_ip, every: 90s}
  acquire: [{post: /failover/192.0.2.7, form: {active_server_ip: "{self}"}, ok: 409 FAILOVER_ALREADY_ROUTED}]""",
    "digitalocean": """\
http:
  base: https://api.digitalocean.com/v2/reserved_ips
  auth: {bearer: SECRET}
  self: {get: "http://169.254.169.254/metadata/v1/id"}
  holder: {get: /192.0.2.7, pick: reserved_ip.droplet.id}
  acquire:
    - {post: /192.0.2.7/actions, json: {type: assign, droplet_id: "{self|int}"}, save: {id: action.id}}
    - {get: "/192.0.2.7/actions/{id}", until: {action.status: completed}, fail: {action.status: errored}}""",
    "linode": """\
http:
  base: https://api.linode.com/v4/networking/ips
  auth: {bearer: SECRET}
  nodes: {lb1: 11, lb2: 12}
  holder: {get: /192.0.2.7, pick: linode_id, save: {region: region}}
  acquire:
    - post: /assign
      json: {region: "{region}", assignments: [{address: 192.0.2.7, linode_id: "{self|int}"}]}""",
    "vultr": f"""\
http:
  base: https://api.vultr.com/v2/reserved-ips
  auth: {{bearer: SECRET}}
  self: {{get: "http://169.254.169.254/v1.json", pick: instance-v2-id}}
  holder: {{get: /{UUID}, pick: reserved_ip.instance_id}}
  acquire:
    - {{post: /{UUID}/detach, if_held: true, ok: [400, 404]}}
    - {{post: /{UUID}/attach, json: {{instance_id: "{{self}}"}}}}""",
    "scaleway": f"""\
http:
  base: https://api.scaleway.com/instance/v1/zones/fr-par-1/ips
  auth: {{header: {{X-Auth-Token: SECRET}}}}
  self: {{get: "http://169.254.42.42/conf?format=json", pick: id}}
  holder: {{get: /{UUID}, pick: ip.server.id}}
  acquire: [{{patch: /{UUID}, json: {{server: "{{self}}"}}}}]""",
    "openstack": f"""\
http:
  base: https://neutron.test:9696/v2.0/floatingips
  auth: {{header: {{X-Auth-Token: {{exchange: {{post: "https://keystone.test:5000/v3/auth/tokens", secret: SECRET,
    json: {{auth: {{identity: {{methods: [application_credential],
      application_credential: {{id: app1, secret: "{{secret}}"}}}}}}}}, pick: header.x-subject-token}}}}}}}}
  nodes: {_IDS}
  holder: {{get: /{UUID}, pick: floatingip.port_id}}
  acquire: [{{put: /{UUID}, json: {{floatingip: {{port_id: "{{self}}"}}}}}}]""",
    "azure-route": f"""\
http:
  base: https://management.azure.com{_ROUTE.removesuffix("/R")}
  auth: {{bearer: {{exchange: {{headers: {{Metadata: true}}, pick: access_token, get: "http://169.254.169.254/metadata/\
identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"}}}}}}
  self: address
  holder: {{get: "/R?api-version=2024-05-01", pick: properties.nextHopIpAddress, save: {{p: properties.addressPrefix}}}}
  acquire:
    - put: /R?api-version=2024-05-01
      json: {{properties: {{addressPrefix: "{{p}}", nextHopType: VirtualAppliance, nextHopIpAddress: "{{self}}"}}}}
    - {{get: "/R?api-version=2024-05-01", until: {{properties.provisioningState: Succeeded}}}}""",
    "gcp-route": """\
http:
  base: https://compute.googleapis.com/compute/v1/projects/p/global
  auth: {bearer: {exchange: {headers: {Metadata-Flavor: Google}, pick: access_token, get:
    "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"}}}
  self: address
  holder: {get: /routes/r, pick: nextHopIp, ok: 404}
  acquire: [{delete: /routes/r, if_held: true, ok: 404, save: {d: name}},
    {get: "/operations/{d}", if_held: true, until: {status: DONE}}, {post: /routes, save: {c: name}, json:
      {name: r, network: projects/p/global/networks/default, destRange: 10.99.0.1/32, nextHopIp: "{self}"}},
    {get: "/operations/{c}", until: {status: DONE}, fail: {error: "*"}}]""",
}
