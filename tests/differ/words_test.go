package differ

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// The words that commands are made of.

// keyWords are few, so that commands meet. The first hotKeys of them get half of the commands.
var keyWords = append([]string{
	"k0", "k1", "k2", "k3", "k4", "k5", "n0", "n1", "n2",
	"", " ", "a", "b", "ab", "abc", "hello", "hallo", "hxllo", "[x]", "[", "]", "*", "?", `a\b`, `\`, "^", "a-c", "-",
	"key with blanks", "K0", "\x00", "\x00\xff\r\n", "line\nbreak", "Ünïcödé", "\"quoted\"", "'single'", "{tag}1", "0", "12",
	strings.Repeat("long", 250), strings.Repeat("x", 65535),
}, strings.Fields("user:1 user:2 user:10 session:a session:b count:x count:y")...)

const hotKeys = 9

// integerWords are integers as they may be spelled, right and wrong.
var integerWords = []string{
	"0", "1", "-1", "2", "10", "41", "100", "9999", "10000", "600000000", "2147483647", "-2147483648", "4294967296",
	"9223372036854775806", "9223372036854775807", "-9223372036854775807", "-9223372036854775808",
	"9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
	"99999999999999999999999999", "-0", "+1", "01", "-01", " 1", "1 ", "1\n", "", "-", "+", "1.0", "1.", "0x10", "1e3", "abc",
	"1a", "1\x00", "\x001", "٣", "½", "--1", "1 2",
}

// floatWords are what INCRBYFLOAT may be given.
var floatWords = []string{
	"0", "-0", "0.0", "1", "-1", "1.5", "-1.5", "3.14", "0.1", "0.2", "0.3", "-0.1", "1e3", "1E3", "1e+2", "1e-2", "5.0e3",
	"+1", "+.5", ".5", "5.", "-.5", ".", "-.", "e1", "1e", "1e+", "0x10", "0X1F", "0x1p3", "0x1.8", "0x", "-0x10",
	"inf", "-inf", "+inf", "INF", "infinity", "Infinity", "infinit", "nan", "NaN", "-nan", "nan(1)", "nan(", "1e-400", "1e400",
	"-1e400", "1e308", "1e-308", "1e4932", "-1e4932", "1e4933", "1e5000", "1e-4940", "1e-5000", "1e17", "1e18", "1e19", "1e20", "1e21",
	"123456789012345678901234567890", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616",
	"0.00000000000000001", "0.000000000000000001", "0.000000000000000004", "0.000000000000000005", "0.000000000000000006",
	"3.0000000000000000001", "2.00000000000000000", "1.00000000000000000000000000000000000000000000000001",
	"00012.50", "1_000", "1,5", "1.2.3", "1e1.5", "1e1e1", " 1", "1 ", "\t1", "1\n", "", " ", "abc", "1a", "1\x00", "1\x002", "\x001",
	strings.Repeat("9", 300), "0." + strings.Repeat("3", 300), strings.Repeat("0", 5200) + "1",
	strings.Repeat("1", 5119), strings.Repeat("1", 5120), strings.Repeat("1", 5121),
}

// patternWords are globs, broken ones among them.
var patternWords = []string{
	"*", "**", "?", "??", "", "k?", "k*", "*k*", "h?llo", "h*llo", "h[ae]llo", "h[^e]llo", "h[a-x]llo", "h[x-a]llo", "*[0-9]", "[",
	"[^", "[]", "[^]", "[a", "[a-", "[a-c", "[^a", "k[0-", "[a-c]", "[-a]", "[a-]", "[]a]", "[]-a]*", "[\\]]", "[\\", "[a\\", "[a\\-c]",
	"\\", "\\*", "\\?", "\\[x\\]", "a\\\\b", "a\\b", "[[]x]", "[[]", "]", "*]", "^", "[\\^]", "user:*", "user:?", "*:*", "*:1*", "*\\", "*[", "?*?",
	"***", "*?*", "*a*b*c*", "*l*l*o", "\x00*", "*\xff*", "*\n*", "K*", "k0", "nothing*", "[^a-z]*", "[a-zA-Z]*", "[0-9][0-9]", "[k-k]0",
}

// oddWords replace arguments and come on top of them. Small positive numbers are missing: as a duration they would let keys
// expire at a moment that the two servers don't share.
var oddWords = []string{
	"", "NX", "XX", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "PERSIST", "GT", "LT", "REPLACE", "DB", "MATCH", "COUNT", "TYPE",
	"SAMPLES", "nx", "xX", "0", "-1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1.5", "abc", "*",
	"\x00", "\r\n", "-ERR\r\n", "'", "\"",
}

// unknownVerbs are no verbs of any server. None is a verb with a NUL behind it, which Redis takes for the verb in one start
// of a few hundred: it compares up to the NUL, if the secret of its hash table has brought the two together.
var unknownVerbs = []string{
	"", "NOSUCH", "get2", "gett", "ge", "g", "SETT", "GET ", " GET", "G\xc5T", "get\r\nset", "'GET'", "a\"b", "\x00SET",
	"verylongverbthatisno", strings.Repeat("V", 200), "\xff\xfe", "expireatt", "incrbyfloa", "incrbyfloatt", "objec", "OBJECT|ENCODING",
	"CLIENT|ID",
}

// foreignVerbs are verbs of Redis that nitrokv doesn't have. They come with too few arguments, so that Redis makes nothing
// that nitrokv can't have.
var foreignVerbs = strings.Fields("LPUSH RPUSH LRANGE HSET HGET HGETALL SADD SMEMBERS ZADD ZRANGE XADD XREAD PFADD SETBIT GETBIT " +
	"BITCOUNT BITOP LCS SUBSCRIBE PUBLISH EVAL EVALSHA SCRIPT WATCH MOVE DUMP RESTORE MIGRATE SORT GEOADD ACL CLUSTER SWAPDB")

// cases gives a word some other case now and then.
func cases(rng *rand.Rand, word string) string {
	switch rng.IntN(6) {
	case 0:
		return strings.ToLower(word)
	case 1:
		b := []byte(strings.ToLower(word))
		for i := range b {
			if rng.IntN(2) == 0 {
				b[i] = strings.ToUpper(string(b[i]))[0]
			}
		}
		return string(b)
	}
	return word
}

// blockBytes is the longest value. SETRANGE and APPEND make longer ones.
const blockBytes = 2 << 20

// newBlock is where values are cut from: half of it is random bytes, half text.
func newBlock(rng *rand.Rand) string {
	b := make([]byte, blockBytes)
	for i := range b {
		b[i] = byte(rng.Uint32())
		if i < blockBytes/2 {
			b[i] = 'a' + b[i]%26
		}
	}
	return string(b)
}

// The moments that keys expire at, in seconds since 1970. Each is used by one command, and they are a thousand seconds
// apart, so that GT and LT have one right answer on both servers.
const (
	momentStep    = 1000
	momentCount   = 999_983       // a prime
	firstRelative = 100_000       // durations: from a day to 32 years
	firstAbsolute = 4_200_000_000 // times: from 2103 …
	lastAbsolute  = firstAbsolute + momentStep*momentCount
	firstHuge     = 9e15 // durations that almost overflow in milliseconds
)

// moments deals out those numbers in an order that goes up and down.
type moments struct{ at int64 }

func (m *moments) next() int64 {
	m.at = (m.at + 618_034) % momentCount
	return m.at * momentStep
}

// A unit is how a verb or an option gives an expiry.
type unit struct {
	milliseconds, absolute bool
}

// limits are where an expiry in seconds, or in milliseconds (true), begins to overflow. As durations all positive ones do.
var limits = map[bool][]string{
	false: {"9223372036854775807", "9223372036854775808", "9223372036854776", "9223372036854775", "-9223372036854775808",
		"-9223372036854775", "-9223372036854776"},
	true: {"9223372036854775807", "9223372036854775808", "9223372036854775000", "-9223372036854775808", "-9223372036854775809"},
}

// time returns an expiry: mostly one in the future, else one in the past, one that overflows, or no number.
func (g *generator) time(u unit) string {
	scale := int64(1)
	if u.milliseconds {
		scale = 1000
	}
	switch n := g.rng.IntN(20); {
	case n < 13 && u.absolute:
		if g.rng.IntN(4) > 0 || g.lastMoment == 0 {
			g.lastMoment = (firstAbsolute+g.moments.next())*1000 + g.rng.Int64N(1000)
		}
		return strconv.FormatInt(g.lastMoment/(1000/scale), 10)
	case n < 13:
		return strconv.FormatInt((firstRelative+g.moments.next())*scale, 10)
	case n < 14 && !u.absolute:
		return strconv.FormatInt((firstHuge+g.moments.next())*scale, 10)
	case n < 17:
		return pick(g, []string{"0", "-1", "-100000", "-9223372036854775"})
	case n < 18 && u.absolute:
		return pick(g, []string{"1", "1000", "1600000000"})
	case n < 19:
		return pick(g, limits[u.milliseconds])
	}
	word := pick(g, integerWords)
	if v, err := strconv.ParseInt(word, 10, 64); err == nil && v > 0 {
		return "-" + word
	}
	return word
}
