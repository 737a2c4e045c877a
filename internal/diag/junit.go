package diag

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		ClassName string        `xml:"classname,attr"`
		File      string        `xml:"file,attr,omitempty"`
		Line      int           `xml:"line,attr,omitempty"`
		Failure   *junitFailure `xml:"failure,omitempty"`
		SystemOut string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// printJUnit writes a suite per file and a case per finding. Errors fail; warnings and notes pass and speak in their
// output, because a consumer that gates on failures would otherwise gate on them. A clean run is one passed case.
func printJUnit(w io.Writer, l List) error {
	out := junitSuites{Name: "meshc"}
	index := map[string]int{}
	for _, d := range l {
		file, line := place(d)
		at, known := index[file]
		if !known {
			at = len(out.Suites)
			index[file] = at
			out.Suites = append(out.Suites, junitSuite{Name: file})
		}
		s := &out.Suites[at]
		c := junitCase{Name: strings.TrimSpace(d.Code + " " + subject(d)), ClassName: file, File: file, Line: line}
		text := fmt.Sprintf("%s:%d: %s: %s [%s]", file, line, d.Severity, sentence(d), d.Code)
		if d.Severity == Error {
			c.Failure = &junitFailure{Message: d.Message, Type: d.Code, Text: text}
			s.Failures++
			out.Failures++
		} else {
			c.SystemOut = text
		}
		s.Cases = append(s.Cases, c)
		s.Tests++
		out.Tests++
	}
	if len(l) == 0 {
		out.Tests = 1
		out.Suites = []junitSuite{{Name: "meshc", Tests: 1, Cases: []junitCase{{Name: "check", ClassName: "meshc"}}}}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
