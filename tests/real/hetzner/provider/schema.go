package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The JSON of `tofu providers schema -json`, as far as it is read here.
type jsonProvider struct {
	Provider        jsonSchema            `json:"provider"`
	ResourceSchemas map[string]jsonSchema `json:"resource_schemas"`
}

type jsonSchema struct {
	Version int64     `json:"version"`
	Block   jsonBlock `json:"block"`
}

type jsonBlock struct {
	Attributes map[string]jsonAttribute `json:"attributes"`
	BlockTypes map[string]jsonNested    `json:"block_types"`
	Deprecated bool                     `json:"deprecated"`
}

type jsonAttribute struct {
	Type       json.RawMessage `json:"type"`
	NestedType *struct {
		Attributes  map[string]jsonAttribute `json:"attributes"`
		NestingMode string                   `json:"nesting_mode"`
	} `json:"nested_type"`
	Required   bool `json:"required"`
	Optional   bool `json:"optional"`
	Computed   bool `json:"computed"`
	Sensitive  bool `json:"sensitive"`
	Deprecated bool `json:"deprecated"`
}

type jsonNested struct {
	NestingMode string    `json:"nesting_mode"`
	MinItems    int64     `json:"min_items"`
	MaxItems    int64     `json:"max_items"`
	Block       jsonBlock `json:"block"`
}

func parse(document []byte) (*tfprotov6.GetProviderSchemaResponse, error) {
	var provider jsonProvider
	if err := json.Unmarshal(document, &provider); err != nil {
		return nil, fmt.Errorf("read the provider schema: %w", err)
	}
	configuration, err := schemaOf(provider.Provider)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	answer := &tfprotov6.GetProviderSchemaResponse{
		Provider:           configuration,
		ServerCapabilities: &tfprotov6.ServerCapabilities{},
		ResourceSchemas:    map[string]*tfprotov6.Schema{},
	}
	for name, schema := range provider.ResourceSchemas {
		if answer.ResourceSchemas[name], err = schemaOf(schema); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return answer, nil
}

func schemaOf(schema jsonSchema) (*tfprotov6.Schema, error) {
	block, err := blockOf(schema.Block)
	return &tfprotov6.Schema{Version: schema.Version, Block: block}, err
}

func blockOf(block jsonBlock) (*tfprotov6.SchemaBlock, error) {
	attributes, err := attributesOf(block.Attributes)
	if err != nil {
		return nil, err
	}
	answer := &tfprotov6.SchemaBlock{Attributes: attributes, Deprecated: block.Deprecated}
	modes := map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
		"list":   tfprotov6.SchemaNestedBlockNestingModeList,
		"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
	}
	for _, name := range slices.Sorted(maps.Keys(block.BlockTypes)) {
		nested := block.BlockTypes[name]
		mode, known := modes[nested.NestingMode]
		if !known {
			return nil, fmt.Errorf("block %s: nesting %q is not one this provider serves", name, nested.NestingMode)
		}
		inner, err := blockOf(nested.Block)
		if err != nil {
			return nil, fmt.Errorf("block %s: %w", name, err)
		}
		answer.BlockTypes = append(answer.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: mode, MinItems: nested.MinItems, MaxItems: nested.MaxItems,
		})
	}
	return answer, nil
}

func attributesOf(attributes map[string]jsonAttribute) ([]*tfprotov6.SchemaAttribute, error) {
	var answer []*tfprotov6.SchemaAttribute
	modes := map[string]tfprotov6.SchemaObjectNestingMode{
		"single": tfprotov6.SchemaObjectNestingModeSingle,
		"list":   tfprotov6.SchemaObjectNestingModeList,
		"set":    tfprotov6.SchemaObjectNestingModeSet,
		"map":    tfprotov6.SchemaObjectNestingModeMap,
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		attribute := attributes[name]
		made := &tfprotov6.SchemaAttribute{
			Name: name, Required: attribute.Required, Optional: attribute.Optional,
			Computed: attribute.Computed, Sensitive: attribute.Sensitive, Deprecated: attribute.Deprecated,
		}
		if attribute.NestedType != nil {
			mode, known := modes[attribute.NestedType.NestingMode]
			if !known {
				return nil, fmt.Errorf("attribute %s: nesting %q is not one this provider serves", name, attribute.NestedType.NestingMode)
			}
			inner, err := attributesOf(attribute.NestedType.Attributes)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			made.NestedType = &tfprotov6.SchemaObject{Attributes: inner, Nesting: mode}
		} else {
			kind, err := tftypes.ParseJSONType(attribute.Type) //nolint:staticcheck // the only reader of this form in the SDK
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			made.Type = kind
		}
		answer = append(answer, made)
	}
	return answer, nil
}

// computed says whether path leads to an attribute that the cloud fills in.
func computed(block *tfprotov6.SchemaBlock, path *tftypes.AttributePath) bool {
	attributes, blocks := block.Attributes, block.BlockTypes
	var found *tfprotov6.SchemaAttribute
	for _, step := range path.Steps() {
		name, isName := step.(tftypes.AttributeName)
		if !isName {
			continue // an element of a list, set or map
		}
		found = nil
		for _, attribute := range attributes {
			if attribute.Name == string(name) {
				found = attribute
			}
		}
		if found != nil {
			if found.NestedType == nil {
				break
			}
			attributes, blocks = found.NestedType.Attributes, nil
			continue
		}
		for _, nested := range blocks {
			if nested.TypeName == string(name) {
				attributes, blocks = nested.Block.Attributes, nested.Block.BlockTypes
				break
			}
		}
	}
	return found != nil && found.Computed
}
