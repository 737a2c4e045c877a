package compiler

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

// Annotations that silence findings about their object.
const (
	ignoreAnnotation   = "meshc.dev/ignore"                 // CODE reason; several by commas or on lines of their own
	suppressAnnotation = "galley.istio.io/analyze-suppress" // of istioctl analyze: codes by commas, or *
)

// silences are those of a run, and what each has silenced.
type silences struct {
	all   []*silence
	found diag.List                // what is wrong with them
	file  func(file string) string // from Options.SettingsDir, "" if outside of it
	quiet diag.List                // what was silenced
}

type silence struct {
	config.Ignore
	ref     diag.Ref // of an annotation
	inFile  bool     // an annotation
	istio   bool     // of Istio
	used    bool
	refused *diag.Diagnostic // a finding that it may not silence
}

// silences gathers those of the settings and of the objects.
func (in *input) silences(opts Options) *silences {
	out := &silences{}
	out.file = func(file string) string { return opts.below(in.sources.Repository(in.sources.Display(file))) }
	for _, s := range opts.Ignore {
		out.all = append(out.all, &silence{Ignore: s})
	}
	for _, c := range in.clusters {
		for _, d := range c.read.Documents {
			out.object(d)
		}
	}
	return out
}

// object reads the annotations of an object.
func (s *silences) object(d *source.Document) {
	meta, _ := d.Value["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	if text, ok := annotations[suppressAnnotation].(string); ok {
		for _, code := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
			s.add(d, suppressAnnotation, code, suppressAnnotation)
		}
	}
	text, _ := annotations[ignoreAnnotation].(string)
	for line := range strings.Lines(text) {
		var waiting []string // codes whose reason follows behind another code
		for _, part := range entries(strings.TrimSpace(line)) {
			code, reason, _ := strings.Cut(strings.TrimSpace(part), " ")
			code = strings.TrimSuffix(code, ":")
			if waiting = append(waiting, code); strings.TrimSpace(reason) == "" {
				continue
			}
			for _, code := range waiting {
				s.add(d, ignoreAnnotation, code, strings.TrimSpace(reason))
			}
			waiting = nil
		}
		for _, code := range waiting {
			f := diag.Diagnostic{Code: "MESHC1802", Severity: diag.Error, Pos: d.Pos("metadata", "annotations", ignoreAnnotation), Object: d.Ref(), Field: "metadata.annotations." + ignoreAnnotation,
				Message: fmt.Sprintf("%q silences findings and gives no reason", code), Help: "Write CODE and then why it does not matter here, as IST0101 the host is made by a job at night."}
			s.found.Add(f)
		}
	}
}

var codeForm = regexp.MustCompile(`^\s*[A-Za-z][-A-Za-z0-9_.]*[0-9](\s|:|$)`)

// entries parts entries at the commas behind which another code stands; other commas belong to a reason.
func entries(line string) []string {
	var out []string
	for i, p := range strings.Split(line, ",") {
		if i == 0 || codeForm.MatchString(p) {
			out = append(out, p)
		} else {
			out[len(out)-1] += "," + p
		}
	}
	return out
}

func (s *silences) add(d *source.Document, annotation, code, reason string) {
	if code == "" {
		return
	}
	s.all = append(s.all, &silence{Ignore: config.Ignore{Code: code, Reason: reason, Pos: d.Pos("metadata", "annotations", annotation)}, ref: d.Ref(), inFile: true, istio: annotation == suppressAnnotation})
}

// covers tells whether a silence is about a finding.
func (x *silence) covers(d diag.Diagnostic, file string) bool {
	switch {
	case x.Code != d.Code && !(x.istio && x.Code == "*"):
		return false
	case x.inFile:
		return d.Object == x.ref
	case x.Object != "" && !isObject(x.Object, d.Object):
		return false
	}
	return x.Path == "" || config.Matches(x.Path, file)
}

// isObject tells whether KIND/NAMESPACE/NAME, or a part of it from the end, is an object. A space may stand behind the kind.
func isObject(object string, r diag.Ref) bool {
	words := strings.Split(strings.Replace(object, " ", "/", 1), "/")
	is := []string{r.Kind, r.Namespace, r.Name}
	return len(words) <= 3 && slices.Equal(words, is[3-len(words):]) || r.Namespace == "" && slices.Equal(words, []string{r.Kind, r.Name})
}

// silent tells whether a finding may be silenced: a warning or a word of information, an opinion of a policy, or an error of
// linking and lowering that Istio would let pass and that opens nothing. What keeps an object from being read is none of
// these, and what a lenient run refuses is none either.
func silent(d diag.Diagnostic, tolerant bool) bool {
	_, own := codes.Find(d.Code)
	return d.Severity != diag.Error || !own || strings.HasPrefix(d.Code, "MESHC-P") || tolerant && !codes.FailsClosed(d.Code)
}

// take leaves the findings that nobody has silenced.
func (s *silences) take(l diag.List, tolerant bool) diag.List {
	if s == nil || len(s.all) == 0 {
		return l
	}
	kept := l[:0]
	for _, d := range l {
		var by *silence
		file := s.file(d.Pos.File)
		for _, x := range s.all {
			if !x.covers(d, file) {
				continue
			}
			if !silent(d, tolerant) {
				x.refused = &d
				continue
			}
			x.used = true
			by = cmp.Or(by, x)
		}
		if by == nil {
			kept = append(kept, d)
			continue
		}
		d.Silenced = &diag.Silenced{Reason: by.Reason, InSource: by.inFile, Pos: by.Pos}
		s.quiet.Add(d)
	}
	return kept
}

// stale reports the silences that silence nothing. A run that ended early, or did not read what they are about, cannot tell.
func (s *silences) stale(sources *load.Sources, ended bool) diag.List {
	var out diag.List
	for _, x := range s.all {
		f := diag.Diagnostic{Code: "MESHC1803", Severity: diag.Warning, Pos: x.Pos, Object: x.ref, Help: "Take it out, so that it does not hide what comes later."}
		switch {
		case x.used:
			continue
		case x.refused != nil:
			f.Message = fmt.Sprintf("%s cannot be silenced here: %s", x.Code, x.refused.Message)
			f.Help = "An error that keeps an object from being read, or would leave open what is meant to be shut, has to be mended; meshc explain " + x.Code + " says how."
		case !ended, !x.inFile && x.Path != "" && !sources.Any(func(file string) bool { return config.Matches(x.Path, s.file(file)) }):
			continue
		default:
			f.Message = "nothing is silenced by this: there is no finding " + x.Code + " here"
			if _, own := codes.Find(x.Code); !own && x.Code != "*" {
				f.Message = "nothing is silenced by this: no finding of this run has the code " + x.Code
			}
			if x.istio { // istioctl may know more codes, and what it finds
				f.Severity = diag.Info
			}
		}
		out.Add(f)
	}
	return out
}
