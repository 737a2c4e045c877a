package diag

import "io"

type (
	gitlabIssue struct {
		Description string         `json:"description"`
		CheckName   string         `json:"check_name"`
		Fingerprint string         `json:"fingerprint"`
		Severity    string         `json:"severity"`
		Location    gitlabLocation `json:"location"`
	}
	gitlabLocation struct {
		Path  string      `json:"path"`
		Lines gitlabLines `json:"lines"`
	}
	gitlabLines struct {
		Begin int `json:"begin"`
	}
)

// printGitLab writes a Code Quality report.
func printGitLab(w io.Writer, l List) error {
	prints := fingerprints(l)
	out := []gitlabIssue{}
	for i, d := range l {
		file, line := place(d)
		severity := map[Severity]string{Error: "critical", Warning: "minor", Info: "info"}[d.Severity]
		out = append(out, gitlabIssue{
			Description: sentence(d), CheckName: d.Code, Fingerprint: prints[i], Severity: severity,
			Location: gitlabLocation{Path: file, Lines: gitlabLines{line}},
		})
	}
	return encode(w, out)
}
