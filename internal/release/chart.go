package main

import (
	"fmt"
	"io/fs"
	"strings"
)

// packageChart is the chart as helm package would archive it, with the version of the release, and with nothing of who made it.
func packageChart(tree fs.FS, v version) (file, error) {
	all, err := files(tree, "meshc/")
	if err != nil {
		return file{}, err
	}
	var entries []entry
	for _, e := range all {
		switch {
		case strings.HasPrefix(e.name, "meshc/profiles/") || e.name == "meshc/.helmignore":
			continue
		case e.name == "meshc/Chart.yaml":
			text := string(e.text)
			for from, to := range map[string]string{"\nversion: 0.0.0\n": "\nversion: " + v.number() + "\n", "\nappVersion: latest\n": "\nappVersion: " + v.tag() + "\n"} {
				if !strings.Contains(text, from) {
					return file{}, fmt.Errorf("deploy/chart/Chart.yaml has no line %q", strings.TrimSpace(from))
				}
				text = strings.Replace(text, from, to, 1)
			}
			e.text = []byte(text)
		}
		entries = append(entries, e)
	}
	packed, err := pack(entries, v.time)
	if err != nil {
		return file{}, err
	}
	packed, err = zip(packed)
	return file{"meshc-" + v.number() + ".tgz", packed}, err
}
