package attest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill is the bill of materials of one image in CycloneDX's form. The same image
// of the same commit has the same.
func (a *Attestor) bill(image Image, p Platform, found inventory) *cdx.BOM {
	bom := cdx.NewBOM()
	bom.SerialNumber = serial(p.Descriptor.Digest.Hex)
	named := image.Reference.Context().Name()
	bom.Metadata = &cdx.Metadata{
		Timestamp: image.Source.Revision.Time.UTC().Truncate(time.Second).Format(time.RFC3339),
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "towline", Version: a.Version}}},
		Component: &cdx.Component{
			BOMRef: p.Descriptor.Digest.String(), Type: cdx.ComponentTypeContainer, Name: named, Version: p.Descriptor.Digest.String(),
			PackageURL: "pkg:oci/" + escape(lastPart(named)) + "@" + escape(p.Descriptor.Digest.String()) + "?arch=" + p.Platform.Architecture + "&repository_url=" + escape(named),
			Properties: &[]cdx.Property{
				{Name: "dev.towline.source", Value: image.Source.URL},
				{Name: "dev.towline.commit", Value: image.Source.Revision.Commit},
				{Name: "dev.towline.base", Value: p.Base.URI},
			},
		},
	}
	components := []cdx.Component{}
	for i := range found.Packages {
		components = append(components, found.Packages[i].component())
	}
	bom.Components = &components
	aggregate := cdx.CompositionAggregateUnknown
	if len(found.Unread) > 0 {
		aggregate = cdx.CompositionAggregateIncomplete
	}
	bom.Compositions = &[]cdx.Composition{{Aggregate: aggregate, Assemblies: &[]cdx.BOMReference{cdx.BOMReference(p.Descriptor.Digest.String())}}}
	return bom
}

// billText is a bill of materials in JSON.
func billText(bom *cdx.BOM) ([]byte, error) {
	var text bytes.Buffer
	if err := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetEscapeHTML(false).Encode(bom); err != nil {
		return nil, fmt.Errorf("write a bill of materials: %w", err)
	}
	return text.Bytes(), nil
}

// serial makes a UUID out of a digest.
func serial(digest string) string {
	raw, _ := hex.DecodeString(digest[:32])
	raw[6], raw[8] = raw[6]&0x0f|0x80, raw[8]&0x3f|0x80 // version 8: of one's own making
	text := hex.EncodeToString(raw)
	return "urn:uuid:" + strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

func (l located) component() cdx.Component {
	url := l.url()
	c := cdx.Component{
		BOMRef: url + "#/" + l.At, Type: cdx.ComponentTypeLibrary, Group: l.Namespace, Name: l.Name, Version: l.Version, PackageURL: url,
		Properties: &[]cdx.Property{{Name: "dev.towline.location", Value: "/" + l.At}},
	}
	if l.License != "" {
		c.Licenses = &cdx.Licenses{{License: &cdx.License{Name: l.License}}}
	}
	return c
}

// url is the package URL.
func (p Package) url() string {
	parts := []string{"pkg:" + p.Kind}
	for part := range strings.SplitSeq(p.Namespace, "/") {
		if part != "" {
			parts = append(parts, escape(part))
		}
	}
	for part := range strings.SplitSeq(p.Name, "/") {
		parts = append(parts, escape(part))
	}
	text := strings.Join(parts, "/")
	if p.Version != "" {
		text += "@" + escape(p.Version)
	}
	if p.Arch != "" {
		text += "?arch=" + escape(p.Arch)
	}
	return text
}

// escape writes a part of a package URL: all but letters, digits and .-_~:
func escape(text string) string {
	return strings.NewReplacer("+", "%20", "%3A", ":").Replace(url.QueryEscape(text))
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
