terraform {
  # Validations look at other variables, which OpenTofu allows since 1.9.
  required_version = ">= 1.9.0"

  required_providers {
    hcloud = {
      source = "hetznercloud/hcloud"
      # Hetzner DNS is settled since 1.56 and the schema the checks use is 1.60's or
      # later (its release notes name zone_record). The lock file that `tofu init`
      # writes beside the state pins the exact release and its checksums.
      version = "~> 1.60"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }
}

# The token comes from the environment, HCLOUD_TOKEN, and from nowhere else: it
# is no variable, so that it can reach neither a plan nor the state.
provider "hcloud" {}
