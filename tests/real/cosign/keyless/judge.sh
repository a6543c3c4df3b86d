# shellcheck shell=bash
# Read by ../run: signatures by certificates of authorities made for the purpose, good
# and bad, in each form that cosign has. Stock cosign and Catalyst are asked about each,
# and must answer alike. The program beside this file is $keyless.

# Where the two differ, and why: cosign does not look at the name that was signed.
differs=" other-name "

# blob REPOSITORY FILE: uploads it, and says its descriptor but for the media type.
blob() {
    local digest location
    digest=$(digest_of "$2")
    location=$(registry --output /dev/null --dump-header - --request POST "$base/v2/$1/blobs/uploads/" |
        tr -d '\r' | sed -n 's/^[Ll]ocation: *//p')
    case $location in /*) location=$base$location ;; esac
    case $location in *\?*) location="$location&" ;; *) location="$location?" ;; esac
    registry --output /dev/null --request PUT --header "content-type: application/octet-stream" \
        --data-binary "@$2" "${location}digest=$digest"
    jq -nc --arg digest "$digest" --argjson size "$(wc -c <"$2")" '{digest: $digest, size: $size}'
}
# lay CASE REPOSITORY DIGEST: hangs a case's signature on an artifact.
lay() {
    local config layer subject
    if [ -e "$1/bundle.json" ]; then
        printf '{}' >"$work/image-config"
        config=$(blob "$2" "$work/image-config")
        layer=$(blob "$2" "$1/bundle.json")
        subject=$(v2 "$2/manifests/$3" | wc -c)
        jq -nc --argjson config "$config" --argjson layer "$layer" --arg digest "$3" --argjson size "$subject" '
            "application/vnd.dev.sigstore.bundle.v0.3+json" as $bundle | {
                schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", artifactType: $bundle,
                config: ($config + {mediaType: "application/vnd.oci.empty.v1+json"}),
                layers: [$layer + {mediaType: $bundle}],
                subject: {mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $digest, size: $size},
                annotations: {
                    "dev.sigstore.bundle.content": "dsse-envelope",
                    "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
                },
            }' | tr -d '\n' >"$work/laid"
        put_manifest "$2/manifests/$(digest_of "$work/laid")" "$work/laid"
        return
    fi
    layer=$(blob "$2" "$1/payload.json")
    jq -c '{architecture: "", os: "", config: {}, rootfs: {type: "layers", diff_ids: [.digest]}}' <<<"$layer" >"$work/image-config"
    config=$(blob "$2" "$work/image-config")
    jq -c --argjson config "$config" --argjson layer "$layer" '{
        schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: ($config + {mediaType: "application/vnd.oci.image.config.v1+json"}),
        layers: [$layer + {mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", annotations: .}],
    }' "$1/annotations.json" | tr -d '\n' >"$work/laid"
    put_manifest "$2/manifests/${3/:/-}.sig" "$work/laid"
}
# bare REPOSITORY DIGEST: takes every signature away.
bare() {
    v2 "$1/referrers/$2" | jq -r '.manifests[].digest' | while read -r referrer; do
        registry --output /dev/null --request DELETE "$base/v2/$1/manifests/$referrer"
    done
    registry --output /dev/null --request DELETE "$base/v2/$1/manifests/${2/:/-}.sig" 2>/dev/null || true
}
# judge NAME REPOSITORY DIGEST TAG: holds both to each case.
judge() {
    local cases=$work/cases-$1 at=$host/$2 case form fault reason version by asked subject issuer
    v2 "$2/manifests/$3" >"$work/manifest-$1"
    "$keyless" cases "$cases" "$at" "$work/manifest-$1" "$(date --utc --date '-2 hours' +%Y-%m-%dT%H:%M:%SZ)"
    subject=$(jq -r .subject "$cases/signer.json")
    issuer=$(jq -r .issuer "$cases/signer.json")
    by=(--trusted-root "$cases/trusted_root.json" --certificate-identity "$subject" --certificate-oidc-issuer "$issuer")
    for case in "$cases"/*/; do
        case=${case%/}
        form=$(jq -r .form "$case/case.json")
        reason=$(jq -r '.reason // ""' "$case/case.json")
        fault=${case##*/"$form"-}
        bare "$2" "$3"
        lay "$case" "$2" "$3"
        for version in 2 3; do
            case $form in
            # cosign looks beside an image for statements alone.
            message) asked=(verify-blob --new-bundle-format=true --bundle "$case/bundle.json" "$work/manifest-$1") ;;
            simple) asked=(verify --new-bundle-format=false --offline=true "$at@$3") ;;
            *) asked=(verify --new-bundle-format=true "$at@$3") ;;
            esac
            # Else cosign 2 looks for the time in the log alone.
            [ "$version-$form" != 2-rekor2 ] || asked+=(--use-signed-timestamps=true)
            if [ -z "$reason" ] || [[ $differs == *" $fault "* ]]; then
                holds "cosign $version: ${case##*/}" "${cosign[$version]}" "${asked[@]}" "${by[@]}"
            else
                refuses "cosign $version: ${case##*/}" "" "${cosign[$version]}" "${asked[@]}" "${by[@]}"
            fi
        done
        if [ -z "$reason" ]; then
            holds "catalyst: ${case##*/}" catalyst blueprint verify "$at:$4" "${by[@]}"
            refuses "catalyst: ${case##*/}, for somebody else" "is not trusted" catalyst blueprint verify "$at:$4" \
                --trusted-root "$cases/trusted_root.json" --certificate-identity-regexp '^https://github\.com/globex/' \
                --certificate-oidc-issuer "$issuer"
        else
            refuses "catalyst: ${case##*/}" "${words[$reason]}" catalyst blueprint verify "$at:$4" "${by[@]}"
        fi
    done
    bare "$2" "$3"
}
# How Catalyst words each reason.
declare -A words=(
    [ForeignIdentity]="made its signature and is not trusted"
    [ForeignIssuer]="that issuer is not trusted for them"
    [ExpiredCertificate]="its certificate was not valid when it was signed"
    [UnknownAuthority]="no authority of the trusted root made its certificate"
    [Unlogged]="nothing of the trusted root vouches that its signature was logged"
    [LoggedOtherwise]="the log's entry beside its signature is for something else"
    [MalformedSignature]="its signature cannot be read"
    [AlteredDigest]="it was altered after it was signed"
    [WrongIdentity]="the signature names"
)

# serve: an authority and a log for cosign to sign by, until the end; its folder is
# $served.
serve() {
    local tries=0
    served=$work/served
    "$keyless" serve "$served" &
    server=$!
    until [ -e "$served/url" ]; do
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || { echo "the authority does not come up" >&2; exit 1; }
        sleep 0.1
    done
}
# sign_keyless VERSION FORM REFERENCE: as a job that has a token does.
sign_keyless() {
    local url flags
    url=$(cat "$served/url")
    flags=(--yes --identity-token "$served/token")
    if [ "$1" = 3 ]; then
        "${cosign[3]}" sign "${flags[@]}" --signing-config "$served/signing_config.json" \
            --trusted-root "$served/trusted_root.json" "$3"
        return
    fi
    SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=$served/certificates.pub SIGSTORE_REKOR_PUBLIC_KEY=$served/log.pub \
        SIGSTORE_ROOT_FILE=$served/root.pem \
        "${cosign[2]}" sign "${flags[@]}" --fulcio-url "$url" --rekor-url "$url" "$2" "$3"
}
