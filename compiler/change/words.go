package change

import "github.com/meshc/meshc/compiler/change/report"

// What a comparison finds; package report writes it.
type (
	Report       = report.Report
	Difference   = report.Difference
	End          = report.End
	Ref          = report.Ref
	Cause        = report.Cause
	Undecided    = report.Undecided
	Ledger       = report.Ledger
	Entry        = report.Entry
	Witness      = report.Witness
	WitnessToken = report.WitnessToken
	Waiver       = report.Waiver
	Waived       = report.Waived
)

// Words of a report.
const (
	KindWorkload   = report.KindWorkload
	KindGateway    = report.KindGateway
	KindOutside    = report.KindOutside
	Opened         = report.Opened
	Closed         = report.Closed
	Moved          = report.Moved
	Changed        = report.Changed
	Tuned          = report.Tuned
	AccessWidened  = report.AccessWidened
	AccessNarrowed = report.AccessNarrowed
	Encryption     = report.Encryption
	Egress         = report.Egress
	Availability   = report.Availability
	Routing        = report.Routing
	Tuning         = report.Tuning
	Observability  = report.Observability
	FateEqual      = report.FateEqual
	FateWitnessed  = report.FateWitnessed
	FateUndecided  = report.FateUndecided
	WhyNames       = report.WhyNames
	WhyUnused      = report.WhyUnused
	WhyProven      = report.WhyProven
	WhyRefused     = report.WhyRefused

	anyHost  = report.AnyHost
	atPlaces = report.AtPlaces
)

// Codes declares the findings of a comparison: one for each category of differences.
var Codes = report.Codes

// Kinds lists the kinds of differences, the gravest first.
func Kinds() []string { return report.Kinds() }

// Categories lists the categories of differences, the gravest first.
func Categories() []string { return report.Categories() }

// ParseWaivers reads a file of waivers.
func ParseWaivers(file string, data []byte) ([]Waiver, error) { return report.ParseWaivers(file, data) }
