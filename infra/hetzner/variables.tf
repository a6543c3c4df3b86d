# Inputs of a Sovereign on Hetzner Cloud. Every validation reads variables and
# the table below only, so this file can be judged on its own, without a provider.

locals {
  # The one table from a region (docs: "Names", three or four letters) to what
  # Hetzner calls the place. `letter` is its part of the location code.
  # https://docs.hetzner.com/cloud/general/locations/
  known_regions = {
    fsn = { location = "fsn1", network_zone = "eu-central", letter = "f" }
    nbg = { location = "nbg1", network_zone = "eu-central", letter = "n" }
    hel = { location = "hel1", network_zone = "eu-central", letter = "l" }
    ash = { location = "ash", network_zone = "us-east", letter = "a" }
    hil = { location = "hil", network_zone = "us-west", letter = "i" }
    sin = { location = "sin", network_zone = "ap-southeast", letter = "s" }
  }
  regions = merge(local.known_regions, var.extra_regions)
}

# --- the Sovereign -----------------------------------------------------------

variable "sovereign_fqdn" {
  description = "Domain of the Sovereign, for example omantel.example. Lower case, no trailing dot."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.sovereign_fqdn))
    error_message = "sovereign_fqdn must be a lower-case domain name of at least two labels, each of 1 to 63 letters, digits or hyphens, without a trailing dot: for example omantel.example."
  }
  validation {
    # Application names go before it: app.environment.domain must fit 253.
    condition     = length(var.sovereign_fqdn) <= 170
    error_message = "sovereign_fqdn must have at most 170 characters, so that application.environment.domain stays within the 253 that DNS allows."
  }
}

variable "region" {
  description = "Region code: fsn, nbg, hel, ash, hil, sin, or one of extra_regions."
  type        = string

  validation {
    condition     = contains(keys(local.regions), var.region)
    error_message = "region must be one of ${join(", ", sort(keys(local.regions)))}; a region that Hetzner has opened since can be added with extra_regions."
  }
}

variable "extra_regions" {
  description = "Regions beyond the built-in ones: code to Hetzner location, network zone and the letter of the location code."
  type = map(object({
    location     = string
    network_zone = string
    letter       = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for code in keys(var.extra_regions) : can(regex("^[a-z]{3,4}$", code))])
    error_message = "extra_regions: a region code has three or four lower-case letters."
  }
  validation {
    condition     = alltrue([for region in values(var.extra_regions) : can(regex("^[a-z]$", region.letter)) && can(regex("^[a-z]{3}[0-9]*$", region.location)) && can(regex("^[a-z]+-[a-z]+$", region.network_zone))])
    error_message = "extra_regions: location looks like fsn1, network_zone like eu-central, letter is one lower-case letter."
  }
}

variable "building_block" {
  description = "What the host cluster is for: mgt (control plane), rtz (workloads) or dmz (edge)."
  type        = string
  default     = "mgt"

  validation {
    condition     = contains(["mgt", "rtz", "dmz"], var.building_block)
    error_message = "building_block must be mgt, rtz or dmz."
  }
}

variable "env_type" {
  description = "Environment type of the host cluster: prod, stg, uat, dev or poc."
  type        = string
  default     = "prod"

  validation {
    condition     = contains(["prod", "stg", "uat", "dev", "poc"], var.env_type)
    error_message = "env_type must be prod, stg, uat, dev or poc."
  }
}

variable "hetzner_project_id" {
  description = "Number of the Hetzner project that HCLOUD_TOKEN belongs to; written on every resource, so that reports can name it."
  type        = string
  default     = null

  validation {
    condition     = var.hetzner_project_id == null || can(regex("^[0-9]{1,20}$", var.hetzner_project_id))
    error_message = "hetzner_project_id must be the project's number, as in the address of its console page."
  }
}

variable "extra_labels" {
  description = "Labels put on every resource beside the Sovereign's own, for example the run of a test."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([for key, value in var.extra_labels :
      can(regex("^([a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$", key)) &&
    can(regex("^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$", value))])
    error_message = "extra_labels: keys and values have at most 63 letters, digits, '-', '_' or '.', begin and end with a letter or digit; a key may have a prefix and '/'."
  }
  validation {
    condition     = alltrue([for key in keys(var.extra_labels) : !startswith(key, "hetzner.cloud/") && !contains(["openova.io/sovereign", "openova.io/host-cluster", "openova.io/env-type", "openova.io/role", "openova.io/hetzner-project", "app.kubernetes.io/managed-by"], key)])
    error_message = "extra_labels may not replace the Sovereign's own labels or use hetzner.cloud/, which Hetzner keeps for itself."
  }
}

# --- names in DNS ------------------------------------------------------------

variable "domain_mode" {
  description = "byo: you write the DNS records yourself, after the outputs. pool: they are written into dns_zone, a zone at Hetzner DNS in the same project."
  type        = string

  validation {
    condition     = contains(["byo", "pool"], var.domain_mode)
    error_message = "domain_mode must be byo (your own DNS) or pool (records written into dns_zone)."
  }
}

variable "dns_zone" {
  description = "With domain_mode pool: the zone at Hetzner DNS that sovereign_fqdn lies in."
  type        = string
  default     = null

  validation {
    condition     = (var.domain_mode == "pool") == (var.dns_zone != null)
    error_message = "dns_zone belongs to domain_mode pool: set both, or neither."
  }
  validation {
    condition     = var.dns_zone == null || try(endswith(var.sovereign_fqdn, ".${var.dns_zone}"), false)
    error_message = "sovereign_fqdn must lie below dns_zone: with the zone pool.example the Sovereign can be omantel.pool.example."
  }
}

variable "dns_ttl" {
  description = "Time to live of the records written in mode pool, in seconds."
  type        = number
  default     = 300

  validation {
    condition     = var.dns_ttl >= 60 && var.dns_ttl <= 86400 && floor(var.dns_ttl) == var.dns_ttl
    error_message = "dns_ttl must be a whole number of seconds from 60 to 86400."
  }
}

# --- who may reach the nodes -------------------------------------------------

variable "ssh_public_key" {
  description = "OpenSSH public key of whoever provisions; it opens root on every node."
  type        = string

  validation {
    condition     = can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\\.com) [A-Za-z0-9+/]{40,}={0,3}( [^\\r\\n]*)?$", var.ssh_public_key))
    error_message = "ssh_public_key must be one line of OpenSSH, as in ~/.ssh/id_ed25519.pub: ssh-ed25519 AAAA… comment. A private key is never asked for."
  }
}

variable "admin_cidrs" {
  description = "Networks from which SSH (22) and the Kubernetes API (6443) of the nodes can be reached."
  type        = list(string)

  validation {
    condition     = length(var.admin_cidrs) > 0
    error_message = "admin_cidrs must name at least one network; for one machine write its address with /32."
  }
  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrhost(cidr, 0))])
    error_message = "admin_cidrs must be networks such as 203.0.113.7/32 or 2001:db8::/48."
  }
  validation {
    # Wider networks than these nobody has for himself; several of them could be put
    # together to the whole Internet.
    condition     = alltrue([for cidr in var.admin_cidrs : try(tonumber(split("/", cidr)[1]) >= (strcontains(cidr, ":") ? 16 : 8), true)])
    error_message = "admin_cidrs must not open the nodes to the whole Internet, or much of it: at least /8, or /16 for IPv6."
  }
  validation {
    # Hetzner refuses it, once the network is made. The same function writes both, so that
    # two ways to write one IPv6 address are no difference.
    condition     = alltrue([for cidr in var.admin_cidrs : try(cidrhost(cidr, 0) == cidrhost("${split("/", cidr)[0]}/${strcontains(cidr, ":") ? 128 : 32}", 0), true)])
    error_message = "admin_cidrs must be written with their first address: 203.0.113.0/24, or 203.0.113.7/32 for one machine."
  }
}

# --- machines ----------------------------------------------------------------

variable "control_plane_count" {
  description = "1, or 3 for a control plane that survives the loss of a node."
  type        = number
  default     = 3

  validation {
    condition     = contains([1, 3], var.control_plane_count)
    error_message = "control_plane_count must be 1 or 3: etcd needs an odd number, and more than three only costs."
  }
}

variable "control_plane_server_type" {
  description = "Hetzner server type of the control planes."
  type        = string
  default     = "cx33"

  validation {
    condition     = can(regex("^(cx|cpx|cax|ccx)[0-9]{2}$", var.control_plane_server_type))
    error_message = "control_plane_server_type must be a Hetzner type such as cx33, cpx32, cax21 or ccx23."
  }
}

variable "worker_count" {
  description = "Workers. With none, the control planes carry the workloads."
  type        = number
  default     = 3

  validation {
    condition     = var.worker_count >= 0 && var.worker_count <= 50 && floor(var.worker_count) == var.worker_count
    error_message = "worker_count must be a whole number from 0 to 50; it stays as it is once the nodes have joined, and more are added by hand."
  }
}

variable "worker_server_type" {
  description = "Hetzner server type of the workers."
  type        = string
  default     = "cx43"

  validation {
    condition     = can(regex("^(cx|cpx|cax|ccx)[0-9]{2}$", var.worker_server_type))
    error_message = "worker_server_type must be a Hetzner type such as cx43, cpx42, cax31 or ccx33."
  }
}

variable "image" {
  description = "Image of the nodes: one with systemd, apt and cloud-init."
  type        = string
  default     = "ubuntu-24.04"

  validation {
    condition     = can(regex("^(ubuntu|debian)-[0-9.]+$", var.image)) || can(regex("^[0-9]+$", var.image))
    error_message = "image must be a Hetzner image ubuntu-… or debian-…, or the number of a snapshot made from one."
  }
}

variable "load_balancer_type" {
  description = "Hetzner type of the public load balancer."
  type        = string
  default     = "lb11"

  validation {
    condition     = can(regex("^lb[0-9]{2}$", var.load_balancer_type))
    error_message = "load_balancer_type must be a Hetzner type such as lb11."
  }
}

variable "join_load_balancer_type" {
  description = "Hetzner type of the internal load balancer that nodes join through; only made for three control planes."
  type        = string
  default     = "lb11"

  validation {
    condition     = can(regex("^lb[0-9]{2}$", var.join_load_balancer_type))
    error_message = "join_load_balancer_type must be a Hetzner type such as lb11."
  }
}

# --- addresses ---------------------------------------------------------------

variable "network_cidr" {
  description = "Private network of the Sovereign."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.network_cidr)) && try(cidrhost(var.network_cidr, 0) == split("/", var.network_cidr)[0], false)
    error_message = "network_cidr must be an IPv4 network whose address is its first, such as 10.0.0.0/16."
  }
  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.network_cidr))
    error_message = "network_cidr must be private: within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }
}

variable "subnet_cidr" {
  description = "Subnet of the nodes and load balancers, within network_cidr."
  type        = string
  default     = "10.0.0.0/20"

  validation {
    condition     = can(cidrnetmask(var.subnet_cidr)) && try(cidrhost(var.subnet_cidr, 0) == split("/", var.subnet_cidr)[0], false)
    error_message = "subnet_cidr must be an IPv4 network whose address is its first, such as 10.0.0.0/20."
  }
  validation {
    condition     = try(tonumber(split("/", var.subnet_cidr)[1]) <= 24, true)
    error_message = "subnet_cidr must be a /24 or larger: addresses are given by position, workers from the hundredth on."
  }
  validation {
    condition = try(
      tonumber(split("/", var.subnet_cidr)[1]) >= tonumber(split("/", var.network_cidr)[1]) &&
    cidrhost("${split("/", var.subnet_cidr)[0]}/${split("/", var.network_cidr)[1]}", 0) == cidrhost(var.network_cidr, 0), true)
    error_message = "subnet_cidr must lie within network_cidr."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods."
  type        = string
  default     = "10.42.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.pod_cidr)) && try(cidrhost(var.pod_cidr, 0) == split("/", var.pod_cidr)[0], false)
    error_message = "pod_cidr must be an IPv4 network whose address is its first, such as 10.42.0.0/16."
  }
  validation {
    condition = try(alltrue([for other in [var.network_cidr, var.service_cidr] :
      cidrhost("${split("/", var.pod_cidr)[0]}/${min(split("/", var.pod_cidr)[1], split("/", other)[1])}", 0) !=
    cidrhost("${split("/", other)[0]}/${min(split("/", var.pod_cidr)[1], split("/", other)[1])}", 0)]), true)
    error_message = "pod_cidr must not overlap network_cidr or service_cidr."
  }
}

variable "service_cidr" {
  description = "Addresses of Services."
  type        = string
  default     = "10.43.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.service_cidr)) && try(cidrhost(var.service_cidr, 0) == split("/", var.service_cidr)[0], false)
    error_message = "service_cidr must be an IPv4 network whose address is its first, such as 10.43.0.0/16."
  }
  validation {
    condition = try(
      cidrhost("${split("/", var.service_cidr)[0]}/${min(split("/", var.service_cidr)[1], split("/", var.network_cidr)[1])}", 0) !=
    cidrhost("${split("/", var.network_cidr)[0]}/${min(split("/", var.service_cidr)[1], split("/", var.network_cidr)[1])}", 0), true)
    error_message = "service_cidr must not overlap network_cidr."
  }
}

# --- software ----------------------------------------------------------------

variable "k3s_version" {
  description = "Release of k3s. Set it to null to follow k3s_channel instead."
  type        = string
  default     = "v1.35.1+k3s1"

  validation {
    condition     = var.k3s_version == null || can(regex("^v1\\.(3[2-9]|[4-9][0-9])\\.[0-9]+\\+k3s[0-9]+$", var.k3s_version))
    error_message = "k3s_version must be a k3s release of Kubernetes 1.32 or later, such as v1.35.1+k3s1."
  }
  validation {
    condition     = (var.k3s_version == null) != (var.k3s_channel == null)
    error_message = "Set exactly one of k3s_version and k3s_channel, the other to null."
  }
}

variable "k3s_channel" {
  description = "Release channel of k3s, instead of k3s_version: stable, latest, or a minor such as v1.35."
  type        = string
  default     = null

  validation {
    condition     = var.k3s_channel == null || can(regex("^(stable|latest|v1\\.[0-9]+)$", var.k3s_channel))
    error_message = "k3s_channel must be stable, latest or a minor such as v1.35."
  }
}

variable "cilium_version" {
  description = "Version of the Cilium chart; the same as in clusters/<sovereign_fqdn>/."
  type        = string
  default     = "1.20.2"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", var.cilium_version))
    error_message = "cilium_version must be a chart version such as 1.20.2."
  }
}

variable "gateway_api_version" {
  description = "Release of the Gateway API's custom resources, which Cilium needs before it starts."
  type        = string
  default     = "v1.6.1"

  validation {
    condition     = can(regex("^v[0-9]+\\.[0-9]+\\.[0-9]+$", var.gateway_api_version))
    error_message = "gateway_api_version must be a release such as v1.6.1."
  }
}

variable "helm_version" {
  description = "Release of helm, which installs Cilium before Flux is there."
  type        = string
  default     = "v3.22.0"

  validation {
    condition     = can(regex("^v3\\.[0-9]+\\.[0-9]+$", var.helm_version))
    error_message = "helm_version must be a release of helm 3, such as v3.22.0."
  }
}

variable "flux_version" {
  description = "Release of Flux."
  type        = string
  default     = "v2.9.5"

  validation {
    condition     = can(regex("^v2\\.[0-9]+\\.[0-9]+$", var.flux_version))
    error_message = "flux_version must be a release of Flux 2, such as v2.9.5."
  }
}

# --- what Flux applies -------------------------------------------------------

variable "git_url" {
  description = "Git repository with clusters/<sovereign_fqdn>/, over https, without credentials."
  type        = string

  validation {
    condition     = can(regex("^https://[A-Za-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/-]+$", var.git_url))
    error_message = "git_url must be https://host/path without user or password; credentials are handed over as a Secret, see git_credentials."
  }
  validation {
    condition     = length(var.git_url) <= 1024
    error_message = "git_url must have at most 1024 characters."
  }
}

variable "git_branch" {
  description = "Branch that Flux follows."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9]([A-Za-z0-9._/-]{0,198}[A-Za-z0-9])?$", var.git_branch)) && !strcontains(var.git_branch, "..")
    error_message = "git_branch must be the name of a branch, such as main."
  }
}

variable "git_credentials" {
  description = "True where the repository is private: Flux then waits for the Secret flux-system/sovereign-git, which the hand-over brings."
  type        = bool
  default     = false
  nullable    = false
}

variable "join_token_ttl_minutes" {
  description = "How long the token that workers join with is good for. It is deleted earlier, once all have joined."
  type        = number
  default     = 60

  validation {
    condition     = var.join_token_ttl_minutes >= 20 && var.join_token_ttl_minutes <= 240 && floor(var.join_token_ttl_minutes) == var.join_token_ttl_minutes
    error_message = "join_token_ttl_minutes must be a whole number from 20 to 240."
  }
}
