package differ

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A generator makes commands from a seed.
type generator struct {
	rng        *rand.Rand
	protocol   string // "2" or "3"
	block      string // where long values are cut from
	moments    moments
	lastMoment int64 // the absolute expiry that was dealt last, in milliseconds
	weights    int   // the sum over verbTable
}

func newGenerator(seed uint64, protocol string) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0)), protocol: protocol}
	g.block = newBlock(g.rng)
	g.moments.at = g.rng.Int64N(momentCount)
	for i := range verbTable {
		g.weights += verbTable[i].weight
	}
	return g
}

// pick returns one of the words.
func pick(g *generator, words []string) string { return words[g.rng.IntN(len(words))] }

// one is true once in n times.
func (g *generator) one(n int) bool { return g.rng.IntN(n) == 0 }

// next returns one command, or a few that belong together.
func (g *generator) next() []command {
	if g.one(500) {
		return g.reset()
	}
	if g.one(300) {
		return []command{{args: []string{cases(g.rng, pick(g, foreignVerbs))}}}
	}
	args := g.intact()
	if g.one(8) && !slices.ContainsFunc(args, isTooLong) {
		args = g.damaged(args)
	}
	return []command{{args: args, inline: g.one(12) && fitsLine(args)}}
}

// reset is RESET or a HELLO, and what brings the connection back to its protocol.
func (g *generator) reset() []command {
	back := command{args: []string{"HELLO", g.protocol}}
	if g.one(2) {
		return []command{{args: []string{cases(g.rng, "RESET")}}, back}
	}
	hello := []string{cases(g.rng, "HELLO")}
	for range g.rng.IntN(4) {
		hello = append(hello, pick(g, []string{"2", "3", "1", "4", "x", "", "SETNAME", "name", "a b", "AUTH", "default", "nobody"}))
	}
	return []command{{args: hello}, back}
}

// intact returns a command with the arguments that its verb wants, if not always with sense in them.
func (g *generator) intact() []string {
	n := g.rng.IntN(g.weights)
	for i := range verbTable {
		v := &verbTable[i]
		if n -= v.weight; n >= 0 {
			continue
		}
		var args []string
		if v.args != nil {
			args = v.args(g)
		}
		if v.name == "" {
			return args
		}
		return append([]string{cases(g.rng, v.name)}, args...)
	}
	panic("the weights have another sum")
}

// damaged returns the command with some argument missing, repeated, replaced or added.
func (g *generator) damaged(args []string) []string {
	for {
		worse := slices.Clone(args)
		at := g.rng.IntN(len(worse))
		switch g.rng.IntN(5) {
		case 0:
			worse = worse[:max(1, len(worse)-1)]
		case 1:
			if at > 0 {
				worse = slices.Delete(worse, at, at+1)
			}
		case 2:
			if at > 0 {
				worse[at] = pick(g, oddWords)
			}
		case 3:
			worse = append(worse, pick(g, oddWords))
		default:
			worse = slices.Insert(worse, at+1, worse[g.rng.IntN(len(worse))])
		}
		if !isStray(worse) {
			return worse
		}
	}
}

// isStray reports whether damage has made a duration that the generator would not deal out. Such a key could expire at a moment
// that the servers don't share, or so close to another one that their order is in doubt.
func isStray(args []string) bool {
	stray := func(i int, second int64) bool {
		if i >= len(args) {
			return false
		}
		n, err := strconv.ParseInt(args[i], 10, 64)
		n /= second
		isDealt := n >= firstRelative && n < firstRelative+momentStep*momentCount || n >= firstHuge
		return err == nil && !isDealt && args[i][0] != '-' && args[i] != "0"
	}
	switch strings.ToUpper(args[0]) {
	case "EXPIRE", "SETEX":
		return stray(2, 1)
	case "PEXPIRE", "PSETEX":
		return stray(2, 1000)
	case "SET", "GETEX":
		for i := range args {
			if isOneOf(args[i], "EX") && stray(i+1, 1) || isOneOf(args[i], "PX") && stray(i+1, 1000) {
				return true
			}
		}
	}
	return false
}

func isOneOf(word string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) })
}

// fitsLine reports whether a command can be typed: the verb is a word, and the line isn't too long.
func fitsLine(args []string) bool {
	bytes := 0
	for _, a := range args {
		bytes += len(a)
	}
	return bytes < 1000 && args[0] != "" && strings.Trim(strings.ToUpper(args[0]), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// isTooLong reports whether a word can be no key of nitrokv. Such a value must not get into a key's place: only Redis would
// store it.
func isTooLong(word string) bool { return len(word) > keyMax }

// key returns one of the keys.
func (g *generator) key() string {
	if g.one(2) {
		return keyWords[g.rng.IntN(hotKeys)]
	}
	return pick(g, keyWords)
}

// someKeys returns up to n keys, now and then the same one twice.
func (g *generator) someKeys(n int) []string {
	var keys []string
	for range 1 + g.rng.IntN(n) {
		keys = append(keys, g.key())
	}
	return keys
}

// value returns a value: mostly a number or a short text, rarely one of a megabyte.
func (g *generator) value() string {
	switch n := g.rng.IntN(1000); {
	case n < 350:
		return strconv.Itoa(g.rng.IntN(20_000) - 5000)
	case n < 450:
		return pick(g, integerWords)
	case n < 550:
		return pick(g, floatWords)
	case n < 800:
		return g.cut(g.rng.IntN(60))
	case n < 900:
		return g.cut(g.rng.IntN(300))
	case n < 970:
		return g.cut(1024 + g.rng.IntN(7000))
	case n < 990:
		return g.cut(8000 + g.rng.IntN(100_000))
	case n < 999:
		return g.cut(64<<10 - 2 + g.rng.IntN(5))
	}
	return g.cut(1<<20 + g.rng.IntN(blockBytes/2))
}

// cut returns n bytes, random ones or text.
func (g *generator) cut(n int) string {
	at := g.rng.IntN(blockBytes - n + 1)
	return g.block[at : at+n]
}
