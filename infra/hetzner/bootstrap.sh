#!/usr/bin/env bash
# Turns a fresh server into a node of the Sovereign's host cluster.
#
# cloud-init writes this file, its settings (/etc/catalyst/bootstrap.json) and
# the unit catalyst-bootstrap.service, which runs it until it has succeeded,
# across reboots too. Every step can be run again; one that is done is skipped.
#
#   journal and console   journalctl -u catalyst-bootstrap
#   log file              /var/log/catalyst-bootstrap.log
#   where it stands       /var/lib/catalyst/bootstrap/status.json
#
# Secrets are read from files and never stand in arguments or in the log.
set -Eeuo pipefail
umask 077

settings=/etc/catalyst/bootstrap.json
state=/var/lib/catalyst/bootstrap
log_file=/var/log/catalyst-bootstrap.log
scratch=/run/catalyst
k3s_config=/etc/rancher/k3s/config.yaml
server_token=/var/lib/rancher/k3s/server/token
kubelet_config=/var/lib/rancher/k3s/agent/kubelet.kubeconfig
metadata=http://169.254.169.254/hetzner/v1/metadata
cloud_state=/var/lib/cloud
cloud_run=/run/cloud-init
cloud_off=/etc/cloud/cloud-init.disabled
current_step=start

export KUBECONFIG=/etc/rancher/k3s/k3s.yaml
export PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

say() {
    printf '%s %s: %s\n' "$(date -u +%FT%TZ)" "$current_step" "$*" | tee -a "$log_file"
}

# Written without jq, which may be what is missing; no text given here has a quote in it.
status() { # status STATE MESSAGE
    printf '{"state":"%s","step":"%s","message":"%s","at":"%s"}\n' "$1" "$current_step" "$2" "$(date -u +%FT%TZ)" >"$state/status.json.new"
    chmod 0644 "$state/status.json.new"
    mv "$state/status.json.new" "$state/status.json"
}

failed() { # failed LINE CODE
    say "FAILED at line $1 with exit code $2; the unit tries again in 30 seconds"
    status failed "line $1, exit code $2; see $log_file"
}
trap 'failed "$LINENO" "$?"' ERR

setting() { jq -er "$1" "$settings"; }

step() { # step NAME FUNCTION
    current_step=$1
    if [ -e "$state/done/$1" ]; then
        say "already done"
        return 0
    fi
    say "begins"
    status running "$1"
    "$2"
    touch "$state/done/$1"
    say "done"
}

wait_for() { # wait_for WHAT SECONDS COMMAND...
    local what=$1 limit=$2 begin=$SECONDS
    shift 2
    say "waiting up to $limit seconds until $what"
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - begin)) -ge "$limit" ]; then
            say "gave up: after $limit seconds it was still not so that $what"
            return 1
        fi
        sleep 3
    done
}

fetch() { # fetch URL FILE
    curl --fail --silent --show-error --location --proto '=https' --tlsv1.2 \
        --retry 8 --retry-all-errors --retry-max-time 300 --output "$2" "$1"
}

kubectl() { k3s kubectl "$@"; }

# --- every node --------------------------------------------------------------

# cloud-init has to be done with packages, and with its own copies of user_data, which
# remove_copies erases. How it ended is nobody's business here: tools looks for what it
# was to install.
cloud_init_ended() {
    say "waiting until cloud-init has ended"
    cloud-init status --wait >/dev/null 2>&1 || say "cloud-init ended with exit code $?"
}

# cloud-init installs these once; where a mirror was down then, it is tried again here.
tools() {
    if ! command -v jq >/dev/null || ! command -v curl >/dev/null; then
        say "installing what cloud-init could not"
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates curl jq
    fi
}

has_private_address() { ip -4 -o addr show | grep -qw "$(setting .privateAddress)"; }
join_address_answers() { curl --silent --insecure --max-time 5 "$(setting .joinUrl)/cacerts" | grep -q CERTIFICATE; }

network_up() {
    wait_for "the private address $(setting .privateAddress) is on an interface" 300 has_private_address
    wait_for "Hetzner's metadata service answers" 120 curl --fail --silent --max-time 5 "$metadata/instance-id"
}

# k3s' own installer, of the same release where one is pinned: it checks the
# binary against the release's checksums and writes the systemd unit.
install_k3s() { # install_k3s server|agent
    local version channel url
    version=$(jq -r '.k3sVersion // empty' "$settings")
    channel=$(jq -r '.k3sChannel // empty' "$settings")
    if [ -n "$version" ]; then
        url="https://raw.githubusercontent.com/k3s-io/k3s/${version/+/%2B}/install.sh"
    else
        url=https://get.k3s.io
    fi
    fetch "$url" "$scratch/install-k3s.sh"
    say "installing k3s ${version:-of channel $channel} from $url"
    INSTALL_K3S_VERSION=$version INSTALL_K3S_CHANNEL=$channel INSTALL_K3S_SKIP_START=true \
        INSTALL_K3S_EXEC=$1 sh "$scratch/install-k3s.sh" 2>&1 | tee -a "$log_file"
}

# The configuration is JSON, which is YAML. --slurpfile keeps the token out of argv.
write_k3s_config() { # write_k3s_config JQ-PROGRAM
    local public instance
    public=$(curl --fail --silent --max-time 10 "$metadata/public-ipv4")
    instance=$(curl --fail --silent --max-time 10 "$metadata/instance-id")
    mkdir -p "$(dirname "$k3s_config")"
    jq -n --slurpfile settings "$settings" --arg public "$public" --arg instance "$instance" '
        $settings[0] as $s |
        {
            "node-name": $s.nodeName,
            "node-ip": $s.privateAddress,
            "node-external-ip": $public,
            "node-label": [$s.nodeLabels | to_entries[] | "\(.key)=\(.value)"],
            # The cloud controller finds the server by it; kubelet sets it, so
            # that nothing waits for a cloud controller that has no token yet.
            "kubelet-arg": ["provider-id=hcloud://\($instance)"]
        } + ('"$1"')' >"$k3s_config.new"
    chmod 0600 "$k3s_config.new"
    mv "$k3s_config.new" "$k3s_config"
}

# Whoever holds the machine's disk finds no token that cloud-init left there, and
# cloud-init does not fetch user_data again at the next boot.
remove_copies() {
    cd /
    touch "$cloud_off"
    find "$cloud_state" -type f \( -name 'user-data*' -o -name 'vendor-data*' -o -name 'obj.pkl' -o -name 'cloud-config*' \) -exec shred -u {} +
    rm -f "$cloud_run/instance-data-sensitive.json" "$cloud_run/combined-cloud-config.json"
    jq 'del(.serverToken, .agentToken)' "$settings" >"$settings.new"
    chmod 0600 "$settings.new"
    # Settings are there at every moment, for without them nothing could go on; the old
    # ones, under a second name, are erased once the new ones stand in their place.
    [ -e "$settings.old" ] || ln "$settings" "$settings.old"
    mv "$settings.new" "$settings"
    shred -u "$settings.old"
    rm -rf "$scratch"
}

# So that one control plane shows whether each node has done all of this. A node may say
# so of itself, with the rights of its kubelet.
announce() {
    kubectl --kubeconfig "$kubelet_config" annotate node "$(setting .nodeName)" openova.io/bootstrap=done --overwrite
}

# --- control planes ----------------------------------------------------------

server_config() {
    # shellcheck disable=SC2016  # $s is jq's
    write_k3s_config '
        {
            "token": $s.serverToken,
            "advertise-address": $s.privateAddress,
            # k3s adds the public address itself only where it advertises none.
            "tls-san": ($s.tlsSans + [$public]),
            "write-kubeconfig-mode": "0600",
            "cluster-cidr": $s.podCidr,
            "service-cidr": $s.serviceCidr,
            "flannel-backend": "none",
            "disable": ["traefik", "servicelb", "local-storage"],
            "disable-cloud-controller": true,
            "disable-helm-controller": true,
            "disable-kube-proxy": true,
            "disable-network-policy": true,
            "secrets-encryption": true
        }
        + (if $s.index == 0 then {"cluster-init": true} else {server: $s.joinUrl} end)
        + (if $s.dedicated then {"node-taint": ["node-role.kubernetes.io/control-plane=:NoSchedule"]} else {} end)'
}

api_ready() { kubectl get --raw /readyz; }

start_server() {
    if [ "$(setting .index)" -gt 0 ]; then
        wait_for "the first control plane answers at $(setting .joinUrl)" 1800 join_address_answers
    fi
    systemctl enable k3s
    systemctl start --no-block k3s
    wait_for "the Kubernetes API of this node is ready" 900 api_ready
}

# The token that workers join with: one that Kubernetes itself lets expire.
agent_token() {
    jq --arg expires "$(date -u -d "+$(setting .joinTokenTtlMinutes) minutes" +%FT%TZ)" '
        (.agentToken | split(".")) as $token |
        {
            apiVersion: "v1", kind: "Secret", type: "bootstrap.kubernetes.io/token",
            metadata: {name: "bootstrap-token-\($token[0])", namespace: "kube-system"},
            stringData: {
                "token-id": $token[0], "token-secret": $token[1], expiration: $expires,
                "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
                "auth-extra-groups": "system:bootstrappers:k3s:default-node-token"
            }
        }' "$settings" | kubectl apply --server-side --force-conflicts -f -
}

architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *)
            say "no release for $(uname -m)"
            return 1
            ;;
    esac
}

install_helm() {
    local version arch
    version=$(setting .helmVersion)
    arch=$(architecture)
    cd "$scratch"
    fetch "https://get.helm.sh/helm-$version-linux-$arch.tar.gz" "helm-$version-linux-$arch.tar.gz"
    fetch "https://get.helm.sh/helm-$version-linux-$arch.tar.gz.sha256sum" helm.sha256sum
    sha256sum --check --strict helm.sha256sum
    tar -xzf "helm-$version-linux-$arch.tar.gz" "linux-$arch/helm"
    install -m 0755 "linux-$arch/helm" /usr/local/bin/helm
}

install_flux_command() {
    local version arch file
    version=$(setting .fluxVersion)
    arch=$(architecture)
    file="flux_${version#v}_linux_$arch.tar.gz"
    cd "$scratch"
    fetch "https://github.com/fluxcd/flux2/releases/download/$version/$file" "$file"
    fetch "https://github.com/fluxcd/flux2/releases/download/$version/flux_${version#v}_checksums.txt" flux.checksums
    grep " $file\$" flux.checksums | sha256sum --check --strict
    tar -xzf "$file" flux
    install -m 0755 flux /usr/local/bin/flux
}

gateway_api() {
    local version
    version=$(setting .gatewayApiVersion)
    fetch "https://github.com/kubernetes-sigs/gateway-api/releases/download/$version/standard-install.yaml" "$scratch/gateway-api.yaml"
    kubectl apply --server-side --force-conflicts -f "$scratch/gateway-api.yaml"
}

# Killed while it waits, helm leaves a record of a release that is pending, which no later
# run gets past. Only the record goes: what it applied carries the release's name, by which
# the next run takes it over.
cilium() {
    kubectl -n kube-system delete secret -l 'owner=helm,name=cilium,status in (pending-install,pending-upgrade,pending-rollback)'
    helm upgrade --install cilium cilium --repo https://helm.cilium.io --version "$(setting .ciliumVersion)" \
        --namespace kube-system --values /etc/catalyst/cilium-values.yaml --wait --timeout 15m
    kubectl apply -f /etc/catalyst/metadata-policy.yaml
}

flux_controllers() {
    flux install --components=source-controller,kustomize-controller,helm-controller,notification-controller --timeout=10m
}

# The Git repository says what else runs here. Where it is private, the source
# stays unready until the hand-over has brought the Secret.
flux_source() {
    jq '
        {apiVersion: "v1", kind: "List", items: [
            {
                apiVersion: "source.toolkit.fluxcd.io/v1", kind: "GitRepository",
                metadata: {name: "sovereign", namespace: "flux-system"},
                spec: ({interval: "1m", timeout: "2m", url: .gitUrl, ref: {branch: .gitBranch}}
                    + (if .gitCredentials then {secretRef: {name: "sovereign-git"}} else {} end))
            },
            {
                apiVersion: "kustomize.toolkit.fluxcd.io/v1", kind: "Kustomization",
                metadata: {name: "sovereign", namespace: "flux-system"},
                spec: {
                    interval: "10m", retryInterval: "1m", timeout: "5m", prune: true, wait: false,
                    path: .gitPath, sourceRef: {kind: "GitRepository", name: "sovereign"}
                }
            }
        ]}' "$settings" | kubectl apply -f -
}

nodes_joined() {
    [ "$(kubectl get nodes -o json |
        jq '[.items[] | select(any(.status.conditions[]; .type == "Ready" and .status == "True"))] | length')" -ge "$(setting .nodeCount)" ]
}

# A token that expires before a node has come would keep it out for good: it is renewed,
# once a minute, for as long as nodes are missing.
renewed=-60
nodes_joined_or_renew() {
    nodes_joined && return 0
    if [ $((SECONDS - renewed)) -ge 60 ]; then
        renewed=$SECONDS
        agent_token
    fi
    return 1
}

# The token of the servers stood in user_data, so it ends here. k3s invents the
# next one itself and writes it to its data directory.
rotate_token() {
    local token_id
    wait_for "all $(setting .nodeCount) nodes have joined and are Ready" 3000 nodes_joined_or_renew
    token_id=$(setting '.agentToken | split(".")[0]')
    kubectl -n kube-system delete secret "bootstrap-token-$token_id" --ignore-not-found
    if [ "$(sed 's/.*:://; s/^server://' "$server_token")" = "$(setting .serverToken)" ]; then
        K3S_TOKEN=$(setting .serverToken) k3s token rotate >/dev/null
    fi
    if [ "$(sed 's/.*:://; s/^server://' "$server_token")" = "$(setting .serverToken)" ]; then
        say "k3s reported a rotation, but its token is the old one"
        return 1
    fi
    kubectl -n kube-system create secret generic catalyst-join-token --from-file=token="$server_token" \
        --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -
}

rotated() { # rotated INDEX: has that control plane taken the new token?
    [ "$(kubectl get node "$(setting ".controlPlaneNames[$1]")" -o json |
        jq -r '.metadata.annotations["openova.io/join-token"] // ""')" = rotated ]
}

new_token_there() { kubectl -n kube-system get secret catalyst-join-token; }

# One control plane after the other, so that etcd keeps its quorum.
adopt_token() {
    local index
    index=$(setting .index)
    if [ "$index" -gt 0 ]; then
        wait_for "control plane $((index - 1)) has taken the new join token" 3600 rotated "$((index - 1))"
    fi
    wait_for "the new join token can be read" 300 new_token_there
    kubectl -n kube-system get secret catalyst-join-token -o json | jq -r '.data.token | @base64d | rtrimstr("\n")' >"$scratch/token"
    jq --rawfile token "$scratch/token" '.token = ($token | rtrimstr("\n"))' "$k3s_config" >"$k3s_config.new"
    chmod 0600 "$k3s_config.new"
    mv "$k3s_config.new" "$k3s_config"
    shred -u "$scratch/token"
    timeout 600 systemctl restart k3s
    wait_for "the Kubernetes API of this node is ready again" 600 api_ready
    kubectl annotate node "$(setting .nodeName)" openova.io/join-token=rotated --overwrite
}

end_rotation() {
    local last
    last=$(($(setting '.controlPlaneNames | length') - 1))
    wait_for "the last control plane has taken the new join token" 3600 rotated "$last"
    kubectl -n kube-system delete secret catalyst-join-token --ignore-not-found
}

# --- workers -----------------------------------------------------------------

# shellcheck disable=SC2016  # $s is jq's
agent_config() { write_k3s_config '{token: $s.agentToken, server: $s.joinUrl}'; }

kubelet_healthy() { curl --fail --silent --max-time 5 http://127.0.0.1:10248/healthz; }

start_agent() {
    wait_for "the control plane answers at $(setting .joinUrl)" 1800 join_address_answers
    systemctl enable k3s-agent
    systemctl start --no-block k3s-agent
    wait_for "the kubelet of this node is healthy" 1800 kubelet_healthy
}

# --- in order ----------------------------------------------------------------

main() {
    local role
    mkdir -p "$state/done" "$scratch"
    current_step=cloud-init
    cloud_init_ended
    current_step=tools
    tools
    role=$(setting .role)
    step network network_up
    case $role in
        control-plane)
            step k3s-binary install_server_binary
            step k3s-config server_config
            step k3s-start start_server
            if [ "$(setting .index)" -eq 0 ]; then
                step agent-token agent_token
                step helm install_helm
                step gateway-api gateway_api
                step cilium cilium
                step flux-command install_flux_command
                step flux flux_controllers
                step flux-source flux_source
                step rotate-token rotate_token
            fi
            step adopt-token adopt_token
            if [ "$(setting .index)" -eq 0 ]; then
                step end-rotation end_rotation
            fi
            ;;
        worker)
            step k3s-binary install_agent_binary
            step k3s-config agent_config
            step k3s-start start_agent
            ;;
        *)
            say "unknown role $role in $settings"
            return 1
            ;;
    esac
    step remove-copies remove_copies
    step announce announce
    current_step=finished
    status "done" "this node is part of the Sovereign"
    # The unit does not begin again where this is: it comes after the word of it.
    touch "$state/done/finished"
    say "this node is part of the Sovereign"
}

install_server_binary() { install_k3s server; }
install_agent_binary() { install_k3s agent; }

# Read by another script, this one only defines its functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main
fi
