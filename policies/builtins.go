package policies

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// costs says of each builtin that a policy may use how many steps a call takes at most, from its operands; nil: no more than
// the expression it stands in. What is not here does not compile: the clock, the network, chance, the environment, templates
// that loop, and what takes time beyond any measure of its operands.
func costs() map[string]costFunc {
	out := map[string]costFunc{}
	add := func(f costFunc, names string) {
		for _, n := range strings.Fields(names) {
			out[n] = f
		}
	}
	add(nil, `assign cast_boolean cast_null cast_string eq internal.print internal.test_case is_array is_boolean is_null is_number
		is_object is_set is_string object.get print rego.metadata.chain rego.metadata.rule trace type_name`)
	add(wide, `all any array.concat array.reverse array.slice base64.decode base64.encode base64.is_valid base64url.decode
		base64url.encode base64url.encode_no_pad cast_array cast_object cast_set contains crypto.hmac.equal crypto.hmac.md5
		crypto.hmac.sha1 crypto.hmac.sha256 crypto.hmac.sha512 crypto.md5 crypto.sha1 crypto.sha256 endswith glob.quote_meta
		hex.decode hex.encode indexof lower net.cidr_contains net.cidr_intersects net.cidr_is_valid net.cidr_overlap object.filter
		object.keys object.remove or semver.compare semver.is_valid set_diff startswith strings.reverse substring time.add_date
		time.clock time.date time.diff time.format time.parse_duration_ns time.parse_ns time.parse_rfc3339_ns time.weekday trim
		trim_left trim_prefix trim_right trim_space trim_suffix upper uri.is_valid uri.parse urlquery.decode urlquery.encode
		uuid.parse`)
	add(narrow, `and`)
	add(letters, `count`)
	add(elements, `indexof_n strings.count urlquery.decode_object json.is_valid json.unmarshal`)
	add(deep, `equal gt gte lt lte neq array.flatten graph.reachable internal.template_string intersection json.filter json.marshal
		json.marshal_with_options json.patch json.remove max min object.subset object.union object.union_n sort
		strings.any_prefix_match strings.any_suffix_match sum union urlquery.encode_object walk yaml.marshal`)
	add(member, `internal.member_2 internal.member_3`)
	add(square, `crypto.x509.parse_certificate_request crypto.x509.parse_certificates io.jwt.decode net.cidr_merge product
		yaml.is_valid yaml.unmarshal`)
	add(crossed, `glob.match net.cidr_contains_matches`)
	add(numbers, `abs bits.and bits.negate bits.or bits.rsh bits.xor ceil div floor format_int minus mul plus rem round to_number
		units.parse units.parse_bytes`)
	add(shift, `bits.lsh`)
	add(interval, `numbers.range numbers.range_step`)
	add(expression, `regex.is_valid regex.match re_match regex.template_match`)
	add(pieces, `regex.find_all_string_submatch_n regex.find_n regex.split`)
	add(substitution, `regex.replace`)
	add(joined, `concat`)
	add(parts, `split strings.split_n`)
	add(replaced, `replace`)
	add(replacedAll, `strings.replace_n`)
	add(formatted, `sprintf`)
	return out
}

// capabilities are OPA's, of which a policy has what costs names.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	known := costs()
	kept := c.Builtins[:0]
	for _, b := range c.Builtins {
		if _, ok := known[b.Name]; ok {
			kept = append(kept, b)
		}
	}
	c.Builtins = kept
	c.AllowNet = []string{}
	return c
}

// boundName is what a builtin is called once its calls are counted. The evaluator prefers its own to those of a query, by
// name, so compiled calls get another one.
func boundName(name string) string { return "bound:" + name }

// bind renames the calls of builtins in compiled modules.
func bind(modules map[string]*ast.Module) {
	refs := map[string]*ast.Term{}
	for name, cost := range costs() {
		if cost != nil {
			refs[name] = ast.NewTerm(ast.Ref{ast.VarTerm(boundName(name))})
		}
	}
	for _, m := range modules {
		ast.WalkExprs(m, func(x *ast.Expr) bool {
			if x.IsCall() {
				terms := x.Terms.([]*ast.Term)
				if to := refs[terms[0].Value.String()]; to != nil {
					terms[0] = to
				}
			}
			return false
		})
	}
}

// bound are the builtins of one evaluator, whose calls take steps of a meter: before the call for what it will do, so that it
// cannot do too much, and after it for what it made.
func bound(m *meter) map[string]*topdown.Builtin {
	out := map[string]*topdown.Builtin{}
	for name, cost := range costs() {
		f, decl := topdown.GetBuiltin(name), ast.BuiltinMap[name]
		if cost == nil || f == nil || decl == nil {
			continue
		}
		args := decl.Decl.Arity()
		out[boundName(name)] = &topdown.Builtin{Decl: decl, Func: func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
			if !m.spend(cost(operands[:min(args, len(operands))], m.left)) {
				return errOver
			}
			return f(bctx, operands, func(t *ast.Term) error {
				if !m.spend(made(t)) {
					return errOver
				}
				return iter(t)
			})
		}}
	}
	return out
}
