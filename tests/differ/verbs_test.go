package differ

import (
	"slices"
	"strconv"
	"strings"
)

// A verb is a line of the table that commands are made from.
type verb struct {
	name   string // empty: args make the whole command
	weight int    // how often it comes, compared with the others
	args   func(*generator) []string
}

// verbTable has every verb that both servers know, but those that end the connection, or describe or save the
// server itself.
var verbTable = []verb{
	{"GET", 60, (*generator).oneKey},
	{"STRLEN", 40, (*generator).oneKey},
	{"GETDEL", 30, (*generator).oneKey},
	{"TYPE", 20, (*generator).oneKey},
	{"TTL", 25, (*generator).oneKey},
	{"PTTL", 25, (*generator).oneKey},
	{"EXPIRETIME", 25, (*generator).oneKey},
	{"PEXPIRETIME", 25, (*generator).oneKey},
	{"PERSIST", 30, (*generator).oneKey},
	{"INCR", 30, (*generator).oneKey},
	{"DECR", 25, (*generator).oneKey},
	{"INCRBY", 40, (*generator).keyInteger},
	{"DECRBY", 30, (*generator).keyInteger},
	{"INCRBYFLOAT", 90, (*generator).keyFloat},
	{"SET", 160, (*generator).set},
	{"SETNX", 30, (*generator).keyValue},
	{"GETSET", 30, (*generator).keyValue},
	{"APPEND", 50, (*generator).keyValue},
	{"SETEX", 30, func(g *generator) []string { return []string{g.key(), g.time(unit{}), g.value()} }},
	{"PSETEX", 30, func(g *generator) []string { return []string{g.key(), g.time(unit{milliseconds: true}), g.value()} }},
	{"GETEX", 60, (*generator).getex},
	{"GETRANGE", 70, (*generator).getrange},
	{"SUBSTR", 25, (*generator).getrange},
	{"SETRANGE", 70, (*generator).setrange},
	{"MGET", 30, (*generator).keys},
	{"EXISTS", 30, (*generator).keys},
	{"TOUCH", 25, (*generator).keys},
	{"DEL", 25, (*generator).keys},
	{"UNLINK", 20, (*generator).keys},
	{"MSET", 30, (*generator).pairs},
	{"MSETNX", 40, (*generator).pairs},
	{"EXPIRE", 50, func(g *generator) []string { return g.expire(unit{}) }},
	{"PEXPIRE", 50, func(g *generator) []string { return g.expire(unit{milliseconds: true}) }},
	{"EXPIREAT", 50, func(g *generator) []string { return g.expire(unit{absolute: true}) }},
	{"PEXPIREAT", 50, func(g *generator) []string { return g.expire(unit{milliseconds: true, absolute: true}) }},
	{"RENAME", 35, (*generator).twoKeys},
	{"RENAMENX", 30, (*generator).twoKeys},
	{"COPY", 60, (*generator).copy},
	{"OBJECT", 50, (*generator).object},
	{"KEYS", 25, func(g *generator) []string { return []string{g.pattern()} }},
	{"SCAN", 40, (*generator).scan},
	{"RANDOMKEY", 15, nil},
	{"MEMORY", 15, (*generator).memory},
	{"PING", 10, func(g *generator) []string { return pickSome(g, 2, []string{"", "hello", "a\r\nb", "*1"}) }},
	{"ECHO", 10, func(g *generator) []string { return []string{g.value()} }},
	{"SELECT", 8, func(g *generator) []string {
		return []string{pick(g, []string{"0", "0", "1", "-1", "16", "x", "00", "4294967296"})}
	}},
	{"CLIENT", 12, (*generator).client},
	{"CONFIG", 10, (*generator).config},
	{"COMMAND", 6, (*generator).command},
	{"INFO", 4, func(*generator) []string { return []string{"nosuchsection"} }},
	{"AUTH", 6, func(g *generator) []string { return pickSome(g, 4, []string{"", "password", "default", "nobody"}) }},
	{"FLUSHALL", 1, func(g *generator) []string { return pickSome(g, 2, []string{"SYNC", "ASYNC", "NOW"}) }},
	{"FLUSHDB", 1, func(g *generator) []string { return pickSome(g, 2, []string{"sync", "async", "0"}) }},
	{"", 20, func(g *generator) []string {
		return append([]string{pick(g, unknownVerbs)}, pickSome(g, 12, oddWords)...)
	}},
	{"", 2, func(g *generator) []string { return []string{pick(g, readVerbs), g.block[:keyMax+1]} }},
}

// isGenerated reports whether the verb, in lower case, is one of the table.
func isGenerated(name string) bool {
	return slices.ContainsFunc(verbTable, func(v verb) bool { return strings.ToLower(v.name) == name })
}

// keyMax is how long a key can be in nitrokv. Longer ones are only read, since Redis would store them.
const keyMax = 65535

var readVerbs = []string{"GET", "STRLEN", "TTL", "TYPE", "EXISTS", "MGET", "PERSIST", "DEL"}

// pickSome returns fewer than n of the words.
func pickSome(g *generator, n int, words []string) []string {
	var some []string
	for range g.rng.IntN(n) {
		some = append(some, pick(g, words))
	}
	return some
}

func (g *generator) oneKey() []string     { return []string{g.key()} }
func (g *generator) twoKeys() []string    { return []string{g.key(), g.key()} }
func (g *generator) keyValue() []string   { return []string{g.key(), g.value()} }
func (g *generator) keyInteger() []string { return []string{g.key(), pick(g, integerWords)} }
func (g *generator) keys() []string       { return g.someKeys(6) }

// keyFloat is for INCRBYFLOAT: half of the numbers are small, so that sums are too.
func (g *generator) keyFloat() []string {
	if g.one(2) {
		return []string{g.key(), strconv.FormatFloat(g.rng.NormFloat64()*100, 'g', g.rng.IntN(20), 64)}
	}
	return []string{g.key(), pick(g, floatWords)}
}

func (g *generator) pairs() []string {
	var args []string
	for _, k := range g.someKeys(5) {
		args = append(args, k, g.value())
	}
	return args
}

// expiry returns an option that gives an expiry, EX, PX, EXAT or PXAT, with its argument.
func (g *generator) expiry() []string {
	u := unit{milliseconds: g.one(2), absolute: g.one(2)}
	name := map[unit]string{{false, false}: "EX", {true, false}: "PX", {false, true}: "EXAT", {true, true}: "PXAT"}[u]
	return []string{cases(g.rng, name), g.time(u)}
}

// set has no option half of the time, else some that may contradict each other.
func (g *generator) set() []string {
	args := g.keyValue()
	if g.one(2) {
		return args
	}
	for range 1 + g.rng.IntN(3) {
		if g.one(3) {
			args = append(args, g.expiry()...)
		} else {
			args = append(args, cases(g.rng, pick(g, []string{"NX", "XX", "GET", "KEEPTTL"})))
		}
	}
	return args
}

func (g *generator) getex() []string {
	args := g.oneKey()
	for range g.rng.IntN(3) {
		if g.one(3) {
			args = append(args, cases(g.rng, "PERSIST"))
		} else {
			args = append(args, g.expiry()...)
		}
	}
	return args
}

// position is an index into a value: near its ends, near the border of large values, or anything.
func (g *generator) position() string {
	switch n := g.rng.IntN(20); {
	case n < 12:
		return strconv.Itoa(g.rng.IntN(60) - 30)
	case n < 15:
		return strconv.Itoa(g.rng.IntN(400) - 200)
	case n < 17:
		return strconv.Itoa((64<<10 - 3 + g.rng.IntN(6)) * (1 - 2*g.rng.IntN(2)))
	case n < 18:
		return strconv.Itoa(g.rng.IntN(2<<20) - 1<<20)
	}
	return pick(g, integerWords)
}

func (g *generator) getrange() []string { return []string{g.key(), g.position(), g.position()} }

// setrange may make values of a few megabytes. Offsets in the hundreds of megabytes are left out, because they work.
func (g *generator) setrange() []string {
	at := g.position()
	if g.one(15) {
		at = pick(g, []string{"536870912", "536870913", "2147483648", "9223372036854775807"})
	}
	return []string{g.key(), at, g.value()}
}

func (g *generator) expire(u unit) []string {
	args := []string{g.key(), g.time(u)}
	if g.one(2) {
		args = append(args, cases(g.rng, pick(g, []string{"NX", "XX", "GT", "LT"})))
	}
	if g.one(8) {
		args = append(args, pick(g, []string{"NX", "xx", "gt", "LT", "CH", ""}))
	}
	return args
}

func (g *generator) copy() []string {
	args := g.twoKeys()
	if g.one(2) {
		args = append(args, cases(g.rng, "REPLACE"))
	}
	if g.one(6) {
		args = append(args, cases(g.rng, "DB"), pick(g, []string{"0", "1", "-1", "16", "x", "", "4294967296"}))
	}
	return args
}

func (g *generator) object() []string {
	part := pick(g, []string{"ENCODING", "ENCODING", "ENCODING", "REFCOUNT", "IDLETIME", "FREQ", "HELP", "NOSUCH", "", "ENCODIN"})
	args := append([]string{cases(g.rng, part)}, g.someKeys(1)...)
	if part == "HELP" && !g.one(4) {
		return args[:1]
	}
	return args
}

func (g *generator) pattern() string {
	if g.one(4) {
		return pick(g, keyWords)
	}
	return pick(g, patternWords)
}

func (g *generator) scan() []string {
	args := []string{pick(g, []string{"0", "0", "0", "-", "x", "1.5", "18446744073709551616", "99999999999999999999", "0x", "1 "})}
	for range g.rng.IntN(3) {
		switch g.rng.IntN(4) {
		case 0:
			args = append(args, cases(g.rng, "MATCH"), g.pattern())
		case 1:
			args = append(args, cases(g.rng, "COUNT"), pick(g, []string{"1", "5", "1000", "0", "-1", "x", "9223372036854775807"}))
		case 2:
			args = append(args, cases(g.rng, "TYPE"), pick(g, []string{"string", "String", "list", "nosuch", ""}))
		default:
			args = append(args, pick(g, []string{"MATCH", "COUNT", "TYPE", "BOGUS"}))
		}
	}
	return args
}

func (g *generator) memory() []string {
	args := []string{cases(g.rng, pick(g, []string{"USAGE", "USAGE", "USAGE", "HELP", "NOSUCH"}))}
	if !isOneOf(args[0], "HELP") {
		args = append(args, g.key())
	}
	if g.one(4) {
		args = append(args, "SAMPLES", pick(g, []string{"0", "5", "-1", "x"}))
	}
	return args
}

func (g *generator) client() []string {
	switch part := pick(g, []string{"GETNAME", "SETNAME", "SETNAME", "ID", "HELP", "NOSUCH", "SETINFO", "NO-TOUCH"}); part {
	case "SETNAME":
		return []string{cases(g.rng, part), pick(g, []string{"name", "", "a b", "n\n", "ü", "0123456789"})}
	default:
		return []string{cases(g.rng, part)}
	}
}

func (g *generator) config() []string {
	switch g.rng.IntN(4) {
	case 0:
		return []string{"NOSUCH"}
	case 1:
		return pickSome(g, 3, []string{"SET", "nosuch", "value", "HELP"})
	}
	return []string{cases(g.rng, "GET"), pick(g, []string{"databases", "MAXMEMORY", "maxmemory-policy", "appendonly", "save", "nosuch",
		"proto-max-bulk-len", "timeout"})}
}

func (g *generator) command() []string {
	switch g.rng.IntN(3) {
	case 0:
		return []string{cases(g.rng, "INFO"), "nosuch"}
	case 1:
		return []string{cases(g.rng, "DOCS"), "nosuch"}
	}
	return []string{pick(g, []string{"NOSUCH", "HELP"})}
}
