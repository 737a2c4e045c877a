// Package luatest has chunks of Lua of which it is known whether they raise an error when they are loaded. Two tests ask the
// reader of Lua and a real Envoy about the same.
package luatest

import "maps"

// Chunks are texts, and whether they raise an error.
func Chunks() map[string]bool {
	all := plain()
	maps.Copy(all, calling())
	return all
}

// plain are chunks without functions of consequence.
func plain() map[string]bool {
	return map[string]bool{
		`error("x")`:                         true,
		`error "x"`:                          true,
		`error{}`:                            true,
		`do error("x") end`:                  true,
		`local a = error("x")`:               true,
		`return error("x")`:                  true,
		`assert(false)`:                      true,
		`assert(nil, "why")`:                 true,
		`assert()`:                           true,
		`pcall(error("x"))`:                  true,
		`if error("x") then end`:             true,
		`while error("x") do end`:            true,
		`for i = 1, error("x") do end`:       true,
		`nothing()`:                          true,
		`local a = nothing.b`:                true,
		`nothing:a()`:                        true,
		`nothing[1] = 2`:                     true,
		`nothing "a"`:                        true,
		`function nothing.a() end`:           true,
		"local handle\nhandle:headers()":     true,
		"local json = nil\njson.decode('x')": true,
		"request_handle:logInfo('x')\nfunction envoy_on_request(request_handle) end": true,
		"local t = {nothing.a}":                                         true,
		"a = 1\nlocal b = -nothing.c":                                   true,
		"f = f.g":                                                       true,
		`local a = nothing`:                                             false,
		`local a = nothing == nil`:                                      false,
		`local a = nothing and nothing.b`:                               false,
		`if nothing then nothing.a() end`:                               false,
		`if nothing then return end`:                                    false,
		"if not nothing then return end\nnothing.a()":                   false,
		"if not nothing then goto done end\nerror('x')\n::done::":       false,
		"for i = 1, 0 do error('x') end":                                false,
		"while false do error('x') end":                                 false,
		"function envoy_on_request(h) h:logInfo(nothing.x) error() end": false,
		"local function f() error('x') end":                             false,
		"pcall(function() error('x') end)":                              false,
		"pcall(error, 'x')":                                             false,
		"error = print\nerror('x')":                                     false,
		"local error = function() end\nerror('x')":                      false,
		"local assert = print\nassert(false)":                           false,
		"assert(nil == nothing)":                                        false,
		"assert(false == nothing or true)":                              false,
		"function f() x = {} end f() x.y = 1":                           false,
		"_G['x'] = {}\nx.y = 1":                                         false,
		"setfenv(1, {x = {}})\nx.y = 1":                                 false,
		"loadstring('x = {}')()\nx.y = 1":                               false,
		"local x\nlocal function f() x = {} end\nf()\nx.y = 1":          false,
		"do local x end\nlocal y = {}\ny.z = 1":                         false,
		"local x, y = 1\nlocal z = {}\nz.a = 1":                         false,
		"local x = (function() return {} end)()\nx.y = 1":               false,
		"local a = string.format('%d', 1)\ntable.concat({})\nmath.abs(1)\nbit.band(1, 2)\nos.time()":                            false,
		"local a = jit.version\nlocal b = debug.getinfo\nlocal c = io.open\nlocal d = package.path\nlocal e = coroutine.create": false,
		"local ffi = require('ffi')\nffi.cdef[[int x;]]":                                                                        false,
		"repeat local a = 1 until true": false,
		"print('x')":                    false,
		"counter = 0\ncounters = {}\ncounters.a = counter": false,
	}
}

// calling are chunks with functions that they call themselves, or do not.
func calling() map[string]bool {
	return map[string]bool{
		"local function f() error('x') end\nf()":                                                  true,
		"function f() error('x') end f('a')":                                                      true,
		"local f = function(a) local x; return x.y end\nf(1)":                                     true,
		"(function() error('x') end)()":                                                           true,
		"local function g() return h() end\nfunction h() return nosuch() end\ng()":                true,
		"local function f() if true then error('x') end end f()":                                  true,
		"if true then error('x') end":                                                             true,
		"local a = 1\nlocal function f(b) assert(false) end\nlocal c = f(a)":                      true,
		"local function f() request_handle:logInfo('x') end\nf()":                                 true,
		"local function f() error('x') end\npcall(f)":                                             false,
		"local function f() error('x') end\nf = function() end\nf()":                              false,
		"local function f() error('x') end\n(function() f = function() end end)()\nf()":           false,
		"local function f(h) h:logInfo('x') end\nlocal g = f":                                     false,
		"local function f(a) if a then error('x') end end\nf(false)":                              false,
		"local function f(a) return a.b end\nf({})":                                               false,
		"local t = {}\nlocal function f() t.x = 1; return t end\nf().y = 2":                       false,
		"local function f() return end\nf()":                                                      false,
		"local function f() do return end error('x') end\nf()":                                    false,
		"local function f(n) if n > 0 then return f(n - 1) end end":                               false,
		"function f(n) if n > 0 then return f(n - 1) end return g(n) end\nfunction g() end\nf(3)": false,
		"local function f(...) return select('#', ...) end\nf(1, 2)":                              false,
		"(function(a) local b = a or {} return b.c end)()":                                        false,
		"local x = (function() end or error)":                                                     false,
		"if true then local a = 1 else error('x') end":                                            false,
	}
}
