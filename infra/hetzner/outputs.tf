# The first six have the same names for every provider.

output "control_plane_ip" {
  description = "Public IPv4 address of the first control plane."
  value       = hcloud_server.control_plane[0].ipv4_address
}

output "load_balancer_ip" {
  description = "Public IPv4 address of the load balancer for 80 and 443."
  value       = hcloud_load_balancer.public.ipv4
}

output "control_plane_ips" {
  description = "Public IPv4 addresses of all control planes, the first one first."
  value       = hcloud_server.control_plane[*].ipv4_address
}

output "sovereign_fqdn" {
  description = "Domain of the Sovereign."
  value       = var.sovereign_fqdn
}

output "console_url" {
  description = "Where the console answers once DNS and the parts are there."
  value       = "https://console.${local.location_code}.${var.sovereign_fqdn}"
}

output "kubeconfig_command" {
  description = "Writes a kubeconfig of the host cluster; works from admin_cidrs, with the SSH key."
  value       = "(umask 077 && ssh root@${hcloud_server.control_plane[0].ipv4_address} cat /etc/rancher/k3s/k3s.yaml | sed 's/127\\.0\\.0\\.1/${hcloud_server.control_plane[0].ipv4_address}/' > ${var.sovereign_fqdn}.kubeconfig)"
}

# What the provisioner needs beyond them.

output "sovereign_name" {
  description = "Value of the label openova.io/sovereign on every resource."
  value       = local.name
}

output "host_cluster" {
  description = "Name of the host cluster."
  value       = local.host_cluster
}

output "dns_records" {
  description = "Records that lead to the load balancer: written in mode pool, yours to write in mode byo."
  value       = values(local.dns_records)
}

output "resources" {
  description = "Hetzner's ids of what was created, by kind and name, for Crossplane to observe and adopt."
  value = {
    network         = { (hcloud_network.sovereign.name) = hcloud_network.sovereign.id }
    subnet          = { (hcloud_network.sovereign.name) = hcloud_network_subnet.nodes.id }
    firewall        = { (hcloud_firewall.nodes.name) = hcloud_firewall.nodes.id }
    ssh_key         = { (hcloud_ssh_key.admin.name) = hcloud_ssh_key.admin.id }
    placement_group = { for group in concat([hcloud_placement_group.control_planes], hcloud_placement_group.workers) : group.name => group.id }
    server          = { for server in concat(hcloud_server.control_plane, hcloud_server.worker) : server.name => server.id }
    load_balancer   = { for balancer in concat([hcloud_load_balancer.public], hcloud_load_balancer.join) : balancer.name => balancer.id }
  }
}
