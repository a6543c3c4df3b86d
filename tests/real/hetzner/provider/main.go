// A provider that knows a schema and nothing else. OpenTofu starts it for
// `init`, `validate` and `plan`, so that the module is judged by the real
// program against the real shape of hetznercloud/hcloud; it reaches no cloud and
// refuses to apply.
//
// One program serves two providers: which one it is follows from the name it
// was installed under, terraform-provider-NAME.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// As `tofu providers schema -json` prints it, cut to the resources that
// infra/hetzner uses.
//
//go:embed hcloud.json
var hcloud []byte

// The one resource of hashicorp/random that infra/hetzner uses, written after
// https://github.com/hashicorp/terraform-provider-random/blob/main/docs/resources/password.md
//
//go:embed random.json
var random []byte

func main() {
	address, schema := "registry.opentofu.org/hetznercloud/hcloud", hcloud
	if strings.HasPrefix(filepath.Base(os.Args[0]), "terraform-provider-random") {
		address, schema = "registry.opentofu.org/hashicorp/random", random
	}
	served, err := parse(schema)
	if err == nil {
		err = tf6server.Serve(address, func() tfprotov6.ProviderServer { return &server{schema: served} })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server answers what plan needs. A call that is not written here would be a
// nil call on the embedded interface, and so a visible crash, not a wrong answer.
type server struct {
	tfprotov6.ProviderServer
	schema *tfprotov6.GetProviderSchemaResponse
}

func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	answer := &tfprotov6.GetMetadataResponse{ServerCapabilities: s.schema.ServerCapabilities}
	for name := range s.schema.ResourceSchemas {
		answer.Resources = append(answer.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	return answer, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return s.schema, nil
}

func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func (s *server) ValidateProviderConfig(_ context.Context, request *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: request.Config}, nil
}

func (s *server) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (s *server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s *server) UpgradeResourceState(_ context.Context, request *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	schema, known := s.schema.ResourceSchemas[request.TypeName]
	if !known {
		return nil, fmt.Errorf("read the state of %s: the schema has no such resource", request.TypeName)
	}
	resource := schema.Block.ValueType()
	value, err := request.RawState.Unmarshal(resource)
	if err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", request.TypeName, err)
	}
	upgraded, err := tfprotov6.NewDynamicValue(resource, value)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &upgraded}, err
}

func (s *server) ReadResource(_ context.Context, request *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: request.CurrentState, Private: request.Private}, nil
}

// PlanResourceChange proposes what was asked for, with everything that only the
// cloud can tell marked as unknown, as a real provider does on creation.
func (s *server) PlanResourceChange(_ context.Context, request *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	schema, known := s.schema.ResourceSchemas[request.TypeName]
	if !known {
		return nil, fmt.Errorf("plan %s: the schema has no such resource", request.TypeName)
	}
	resource := schema.Block.ValueType()
	proposed, err := request.ProposedNewState.Unmarshal(resource)
	if err != nil {
		return nil, fmt.Errorf("plan %s: read the proposed state: %w", request.TypeName, err)
	}
	if !proposed.IsNull() {
		proposed, err = tftypes.Transform(proposed, func(path *tftypes.AttributePath, value tftypes.Value) (tftypes.Value, error) {
			if value.IsKnown() && value.IsNull() && computed(schema.Block, path) {
				return tftypes.NewValue(value.Type(), tftypes.UnknownValue), nil
			}
			return value, nil
		})
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", request.TypeName, err)
		}
	}
	planned, err := tfprotov6.NewDynamicValue(resource, proposed)
	if err != nil {
		return nil, fmt.Errorf("plan %s: write the planned state: %w", request.TypeName, err)
	}
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: &planned}, nil
}

func (s *server) ApplyResourceChange(_ context.Context, request *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	return &tfprotov6.ApplyResourceChangeResponse{
		NewState: request.PriorState,
		Diagnostics: []*tfprotov6.Diagnostic{{
			Severity: tfprotov6.DiagnosticSeverityError,
			Summary:  "This provider knows the schema only and never applies",
			Detail:   "It stands in for " + request.TypeName + " so that a plan can be judged without a cloud. Use the published provider to create anything.",
		}},
	}, nil
}
