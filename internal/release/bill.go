package main

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bill is the bill of materials of a binary in CycloneDX's form: the modules that the Go tool says it is made of, and Go itself.
func (p *program) bill() (file, error) {
	b := cdx.NewBOM()
	root := component(&p.info.Main, cdx.ComponentTypeApplication)
	b.Metadata = &cdx.Metadata{Timestamp: p.version.time.UTC().Format(time.RFC3339), Component: &root}
	golang := cdx.Component{Type: cdx.ComponentTypePlatform, Name: "go", Version: p.info.GoVersion, BOMRef: "go"}
	parts, refs := []cdx.Component{golang}, []string{golang.BOMRef}
	for _, m := range p.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component(m, cdx.ComponentTypeLibrary)
		parts, refs = append(parts, c), append(refs, c.BOMRef)
	}
	b.Components = &parts
	b.Dependencies = &[]cdx.Dependency{{Ref: root.BOMRef, Dependencies: &refs}}
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(b)
	return file{fmt.Sprintf("meshc_%s_%s_%s.cdx.json", p.version.name, p.os, p.arch), out.Bytes()}, err
}

func component(m *debug.Module, kind cdx.ComponentType) cdx.Component {
	url := "pkg:golang/" + m.Path + "@" + m.Version
	return cdx.Component{Type: kind, Name: m.Path, Version: m.Version, PackageURL: url, BOMRef: url}
}
