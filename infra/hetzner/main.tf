# Phase 0 of a Sovereign on Hetzner Cloud: what must exist before Kubernetes does.
# Applied once; afterwards Crossplane adopts these resources and the state is
# archived. Nothing here is read by a running Sovereign.

locals {
  region       = local.regions[var.region]
  host_cluster = "hz-${var.region}-${var.building_block}-${var.env_type}"
  # h for Hetzner, then region, building block and environment type; poc is c.
  location_code = join("", ["h", local.region.letter, substr(var.building_block, 0, 1), var.env_type == "poc" ? "c" : substr(var.env_type, 0, 1)])

  # The Sovereign's object name, kept short enough for labels and host names.
  dashed = replace(var.sovereign_fqdn, ".", "-")
  name   = length(local.dashed) <= 40 ? local.dashed : "${trimsuffix(substr(local.dashed, 0, 31), "-")}-${substr(sha256(var.sovereign_fqdn), 0, 8)}"

  node_labels = {
    "openova.io/sovereign"    = local.name
    "openova.io/host-cluster" = local.host_cluster
    "openova.io/env-type"     = var.env_type
  }
  labels = merge(
    var.extra_labels,
    local.node_labels,
    { "app.kubernetes.io/managed-by" = "opentofu" },
    var.hetzner_project_id == null ? {} : { "openova.io/hetzner-project" = var.hetzner_project_id },
  )

  # Addresses by position in the subnet; the first one is Hetzner's gateway.
  join_balancer_address   = cidrhost(var.subnet_cidr, 2)
  public_balancer_address = cidrhost(var.subnet_cidr, 3)
  control_planes = [for index in range(var.control_plane_count) : {
    name    = "${local.name}-cp-${index + 1}"
    address = cidrhost(var.subnet_cidr, 11 + index)
  }]
  workers = [for index in range(var.worker_count) : {
    name    = "${local.name}-worker-${index + 1}"
    address = cidrhost(var.subnet_cidr, 101 + index)
  }]

  highly_available = var.control_plane_count > 1
  # Nodes join here for as long as the cluster lives: no single control plane.
  join_address = local.highly_available ? local.join_balancer_address : local.control_planes[0].address
  join_url     = "https://${local.join_address}:6443"

  # What carries workloads, and so answers on 80 and 443.
  serving_role = var.worker_count > 0 ? "worker" : "control-plane"

  # Tokens of two kinds, none of which is good for long: the servers' is replaced
  # by one that k3s invents as soon as all nodes have joined, the workers' is a
  # Kubernetes bootstrap token that expires by itself. See docs/adr/0010-join-tokens.md.
  agent_token = "${random_password.agent_token_id.result}.${random_password.agent_token_secret.result}"

  control_plane_user_data = [for index, node in local.control_planes : templatefile("${path.module}/cloudinit-control-plane.tftpl", {
    sovereign_fqdn  = var.sovereign_fqdn
    bootstrap       = file("${path.module}/bootstrap.sh")
    hand_over       = file("${path.module}/hand-over.sh")
    unit            = file("${path.module}/catalyst-bootstrap.service")
    cilium_values   = file("${path.module}/cilium-values.yaml")
    metadata_policy = file("${path.module}/metadata-policy.yaml")
    settings = jsonencode({
      role                = "control-plane"
      index               = index
      nodeName            = node.name
      privateAddress      = node.address
      nodeLabels          = local.node_labels
      dedicated           = var.worker_count > 0
      joinUrl             = local.join_url
      serverToken         = random_password.server_token.result
      agentToken          = local.agent_token
      joinTokenTtlMinutes = var.join_token_ttl_minutes
      controlPlaneNames   = local.control_planes[*].name
      nodeCount           = var.control_plane_count + var.worker_count
      tlsSans             = distinct([local.join_address, node.address, "api.${local.location_code}.${var.sovereign_fqdn}"])
      podCidr             = var.pod_cidr
      serviceCidr         = var.service_cidr
      k3sVersion          = var.k3s_version
      k3sChannel          = var.k3s_channel
      ciliumVersion       = var.cilium_version
      gatewayApiVersion   = var.gateway_api_version
      helmVersion         = var.helm_version
      fluxVersion         = var.flux_version
      gitUrl              = var.git_url
      gitBranch           = var.git_branch
      gitPath             = "./clusters/${var.sovereign_fqdn}"
      gitCredentials      = var.git_credentials
    })
  })]

  worker_user_data = [for node in local.workers : templatefile("${path.module}/cloudinit-worker.tftpl", {
    sovereign_fqdn = var.sovereign_fqdn
    bootstrap      = file("${path.module}/bootstrap.sh")
    unit           = file("${path.module}/catalyst-bootstrap.service")
    settings = jsonencode({
      role           = "worker"
      nodeName       = node.name
      privateAddress = node.address
      nodeLabels     = local.node_labels
      joinUrl        = local.join_url
      agentToken     = local.agent_token
      k3sVersion     = var.k3s_version
      k3sChannel     = var.k3s_channel
    })
  })]
}

# --- join tokens -------------------------------------------------------------

resource "random_password" "server_token" {
  length  = 48
  special = false
}

# The form that Kubernetes asks of bootstrap tokens: [a-z0-9]{6}.[a-z0-9]{16}.
resource "random_password" "agent_token_id" {
  length  = 6
  special = false
  upper   = false
}

resource "random_password" "agent_token_secret" {
  length  = 16
  special = false
  upper   = false
}

# --- network -----------------------------------------------------------------

resource "hcloud_network" "sovereign" {
  name     = local.name
  ip_range = var.network_cidr
  labels   = local.labels
}

resource "hcloud_network_subnet" "nodes" {
  network_id   = hcloud_network.sovereign.id
  type         = "cloud"
  network_zone = local.region.network_zone
  ip_range     = var.subnet_cidr
}

# Hetzner's firewalls guard public interfaces only; traffic of the private
# network does not pass them. What no rule allows is dropped.
resource "hcloud_firewall" "nodes" {
  name   = "${local.name}-nodes"
  labels = local.labels

  dynamic "rule" {
    for_each = { ssh = "22", kubernetes = "6443" }
    content {
      direction  = "in"
      protocol   = "tcp"
      port       = rule.value
      source_ips = var.admin_cidrs
    }
  }
}

resource "hcloud_ssh_key" "admin" {
  name       = "${local.name}-admin"
  public_key = trimspace(var.ssh_public_key)
  labels     = local.labels
}

# --- machines ----------------------------------------------------------------

resource "hcloud_placement_group" "control_planes" {
  name   = "${local.name}-control-planes"
  type   = "spread"
  labels = local.labels
}

# A spread group holds ten servers.
resource "hcloud_placement_group" "workers" {
  count  = ceil(var.worker_count / 10)
  name   = "${local.name}-workers-${count.index + 1}"
  type   = "spread"
  labels = local.labels
}

resource "hcloud_server" "control_plane" {
  count              = var.control_plane_count
  name               = local.control_planes[count.index].name
  server_type        = var.control_plane_server_type
  image              = var.image
  location           = local.region.location
  ssh_keys           = [hcloud_ssh_key.admin.id]
  firewall_ids       = [hcloud_firewall.nodes.id]
  placement_group_id = hcloud_placement_group.control_planes.id
  user_data          = local.control_plane_user_data[count.index]
  labels             = merge(local.labels, { "openova.io/role" = "control-plane" })

  public_net {
    ipv4_enabled = true
    ipv6_enabled = true
  }

  network {
    network_id = hcloud_network.sovereign.id
    ip         = local.control_planes[count.index].address
    # Left out, the provider detaches and attaches the network at every apply.
    alias_ips = []
  }

  lifecycle {
    # All three are read at creation only; a change would replace a node, which
    # is not phase 0's to do.
    ignore_changes = [user_data, ssh_keys, image]
    precondition {
      condition     = nonsensitive(length(local.control_plane_user_data[count.index])) <= 32768
      error_message = "The user_data of a control plane has ${nonsensitive(length(local.control_plane_user_data[count.index]))} bytes; Hetzner takes 32768. Shorten git_url or sovereign_fqdn."
    }
  }

  depends_on = [hcloud_network_subnet.nodes]
}

resource "hcloud_server" "worker" {
  count              = var.worker_count
  name               = local.workers[count.index].name
  server_type        = var.worker_server_type
  image              = var.image
  location           = local.region.location
  ssh_keys           = [hcloud_ssh_key.admin.id]
  firewall_ids       = [hcloud_firewall.nodes.id]
  placement_group_id = hcloud_placement_group.workers[floor(count.index / 10)].id
  user_data          = local.worker_user_data[count.index]
  labels             = merge(local.labels, { "openova.io/role" = "worker" })

  public_net {
    ipv4_enabled = true
    ipv6_enabled = true
  }

  network {
    network_id = hcloud_network.sovereign.id
    ip         = local.workers[count.index].address
    # Left out, the provider detaches and attaches the network at every apply.
    alias_ips = []
  }

  lifecycle {
    ignore_changes = [user_data, ssh_keys, image]
    precondition {
      condition     = nonsensitive(length(local.worker_user_data[count.index])) <= 32768
      error_message = "The user_data of a worker has ${nonsensitive(length(local.worker_user_data[count.index]))} bytes; Hetzner takes 32768."
    }
  }

  depends_on = [hcloud_network_subnet.nodes]
}

# --- the public load balancer: 80 and 443, nothing else ----------------------

resource "hcloud_load_balancer" "public" {
  name               = "${local.name}-public"
  load_balancer_type = var.load_balancer_type
  location           = local.region.location
  labels             = merge(local.labels, { "openova.io/role" = "public" })
}

resource "hcloud_load_balancer_network" "public" {
  load_balancer_id = hcloud_load_balancer.public.id
  subnet_id        = hcloud_network_subnet.nodes.id
  ip               = local.public_balancer_address
}

resource "hcloud_load_balancer_target" "public" {
  type             = "label_selector"
  load_balancer_id = hcloud_load_balancer.public.id
  label_selector   = "openova.io/sovereign=${local.name},openova.io/role=${local.serving_role}"
  use_private_ip   = true

  depends_on = [hcloud_load_balancer_network.public, hcloud_server.control_plane, hcloud_server.worker]
}

resource "hcloud_load_balancer_service" "public" {
  for_each = toset(["80", "443"])

  load_balancer_id = hcloud_load_balancer.public.id
  protocol         = "tcp"
  listen_port      = tonumber(each.value)
  destination_port = tonumber(each.value)
  # Else every client has the balancer's address. The Gateway takes nothing else on these
  # ports (gatewayAPI.enableProxyProtocol): one goes with the other.
  proxyprotocol = true

  health_check {
    protocol = "tcp"
    port     = tonumber(each.value)
    interval = 15
    timeout  = 10
    retries  = 3
  }
}

# --- where nodes join: without a public interface ----------------------------

resource "hcloud_load_balancer" "join" {
  count              = local.highly_available ? 1 : 0
  name               = "${local.name}-join"
  load_balancer_type = var.join_load_balancer_type
  location           = local.region.location
  labels             = merge(local.labels, { "openova.io/role" = "join" })
}

resource "hcloud_load_balancer_network" "join" {
  count                   = local.highly_available ? 1 : 0
  load_balancer_id        = hcloud_load_balancer.join[0].id
  subnet_id               = hcloud_network_subnet.nodes.id
  ip                      = local.join_balancer_address
  enable_public_interface = false
}

resource "hcloud_load_balancer_target" "join" {
  count            = local.highly_available ? var.control_plane_count : 0
  type             = "server"
  load_balancer_id = hcloud_load_balancer.join[0].id
  server_id        = hcloud_server.control_plane[count.index].id
  use_private_ip   = true

  depends_on = [hcloud_load_balancer_network.join]
}

resource "hcloud_load_balancer_service" "join" {
  count            = local.highly_available ? 1 : 0
  load_balancer_id = hcloud_load_balancer.join[0].id
  protocol         = "tcp"
  listen_port      = 6443
  destination_port = 6443

  health_check {
    protocol = "tcp"
    port     = 6443
    interval = 5
    timeout  = 4
    retries  = 3
  }
}

# --- DNS, in mode pool -------------------------------------------------------

locals {
  dns_name = var.domain_mode == "pool" ? trimsuffix(var.sovereign_fqdn, ".${var.dns_zone}") : ""
  # One wildcard covers every depth below the Sovereign's domain, so console,
  # API and Applications need no record of their own.
  dns_records = {
    "apex-a"        = { name = var.sovereign_fqdn, type = "A", value = hcloud_load_balancer.public.ipv4 }
    "apex-aaaa"     = { name = var.sovereign_fqdn, type = "AAAA", value = hcloud_load_balancer.public.ipv6 }
    "wildcard-a"    = { name = "*.${var.sovereign_fqdn}", type = "A", value = hcloud_load_balancer.public.ipv4 }
    "wildcard-aaaa" = { name = "*.${var.sovereign_fqdn}", type = "AAAA", value = hcloud_load_balancer.public.ipv6 }
  }
}

resource "hcloud_zone_rrset" "sovereign" {
  for_each = var.domain_mode == "pool" ? local.dns_records : {}

  zone    = var.dns_zone
  name    = startswith(each.key, "apex") ? local.dns_name : "*.${local.dns_name}"
  type    = each.value.type
  ttl     = var.dns_ttl
  labels  = local.labels
  records = [{ value = each.value.value }]
}
