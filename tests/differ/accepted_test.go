package differ

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An accepted difference is one that stays, for a reason that docs/REDIS.md gives under the same name.
type acceptedDifference struct {
	name    string
	reason  string
	matches func(d *difference, known verbs) bool
	example [][]string // commands for empty stores, the last of which shows it
	stream  string     // instead of both: bytes that are no commands and show it
}

// accept returns the entry that a difference belongs to, or nil.
func accept(d *difference, known verbs) *acceptedDifference {
	for i := range acceptedDifferences {
		if a := &acceptedDifferences[i]; a.matches != nil && a.matches(d, known) {
			return a
		}
	}
	return nil
}

// acceptedDifferences is the only place that says what may differ. CHECKLIST for a new one: a line under the same name in
// docs/REDIS.md.
var acceptedDifferences = []acceptedDifference{
	{
		name:   "absent-verbs",
		reason: "other types, transactions, scripts, pub/sub and replication are not there",
		matches: func(d *difference, known verbs) bool {
			return known.redis[d.verb()] && !known.nitro[d.verb()] && !isGenerated(d.verb()) && d.nitroSays("ERR unknown command '")
		},
		example: [][]string{{"LPUSH"}},
	},
	{
		name:   "own-verbs",
		reason: "PUT, DELETE, BACKUP, SNAPSHOT and MERGE are nitrokv's; WAITAOF came with Redis 7.2",
		matches: func(d *difference, known verbs) bool {
			return known.nitro[d.verb()] && !known.redis[d.verb()] && d.redisSays("ERR unknown command '")
		},
		example: [][]string{{"PUT", "k", "v"}},
	},
	{
		name:   "absent-subcommands",
		reason: "what would have no effect here is unknown",
		matches: func(d *difference, _ verbs) bool {
			return d.nitroSays("ERR unknown subcommand '") && !d.redisSays("ERR unknown subcommand '")
		},
		example: [][]string{{"CLIENT", "TRACKINGINFO"}},
	},
	{
		name:   "newer-subcommands",
		reason: "nitrokv follows Redis 7.2, which has CLIENT SETINFO; 7.0 does not",
		matches: func(d *difference, _ verbs) bool {
			return d.verb() == "client" && isOneOf(d.word(1), "SETINFO") && d.redisSays("ERR unknown subcommand '")
		},
		example: [][]string{{"CLIENT", "SETINFO", "LIB-NAME", "x"}},
	},
	{
		name:   "help-texts",
		reason: "each server describes what it has",
		matches: func(d *difference, _ verbs) bool {
			return isOneOf(d.word(1), "HELP") && len(d.args) == 2 && d.redis[0] == '*' && d.nitro[0] == '*'
		},
		example: [][]string{{"MEMORY", "HELP"}},
	},
	{
		name:   "self-description",
		reason: "version, connection numbers, sizes, counters and tables are each server's own",
		matches: func(d *difference, _ verbs) bool {
			if d.redis[0] == '-' || d.nitro[0] == '-' {
				return false
			}
			a, b := parse(d.redis), parse(d.nitro)
			switch d.verb() {
			case "hello":
				return sameGreeting(d.redis, d.nitro)
			case "memory": // Redis counts a key that has expired until it is removed
				return isOneOf(d.word(1), "USAGE") && a.kind == ':' && (b.kind == ':' || b.null)
			case "client":
				return isOneOf(d.word(1), "ID", "INFO", "LIST") && a.kind == b.kind
			case "command": // but not about a verb that neither has
				isNothing := len(d.args) == 3 && len(a.elems) == 1 && a.elems[0].null
				return !isNothing && a.kind == b.kind
			case "config":
				return strings.Contains(strings.Join(d.args, " "), "*") && a.kind == b.kind
			case "info":
				return a.kind == b.kind
			}
			return false
		},
		example: [][]string{{"SET", "k", "v"}, {"MEMORY", "USAGE", "k"}},
	},
	{
		name:   "key-length",
		reason: "a key has at most 65,535 bytes",
		matches: func(d *difference, _ verbs) bool {
			return slices.ContainsFunc(d.args[1:], isTooLong) && string(d.nitro) == "-ERR key is longer than 65535 bytes\r\n"
		},
		example: [][]string{{"GET", strings.Repeat("x", keyMax+1)}},
	},
	{
		name:   "long-errors",
		reason: "an error quotes the first bytes of a long argument, not all of it",
		matches: func(d *difference, _ verbs) bool {
			begin := bytes.TrimSuffix(d.nitro, []byte("\r\n"))
			return d.nitro[0] == '-' && len(begin) > quotedMax && bytes.HasPrefix(d.redis, begin)
		},
		example: [][]string{{"EXPIRE", "k", "1", strings.Repeat("x", 10*quotedMax)}},
	},
	{
		name:   "object-encoding",
		reason: "computed from the value; Redis also remembers how the value was made",
		matches: func(d *difference, _ verbs) bool {
			change := string(d.redis) + string(d.nitro)
			return d.verb() == "object" && isOneOf(d.word(1), "ENCODING") &&
				slices.Contains([]string{"$3\r\nraw\r\n$6\r\nembstr\r\n", "$3\r\nraw\r\n$3\r\nint\r\n", "$6\r\nembstr\r\n$3\r\nint\r\n"}, change)
		},
		example: [][]string{{"SET", "k", "a"}, {"APPEND", "k", "b"}, {"OBJECT", "ENCODING", "k"}},
	},
	{
		name:   "object-refcount",
		reason: "small integers are not shared, so the count is 1",
		matches: func(d *difference, _ verbs) bool {
			return d.verb() == "object" && isOneOf(d.word(1), "REFCOUNT") && string(d.redis) == ":2147483647\r\n" && string(d.nitro) == ":1\r\n"
		},
		example: [][]string{{"SET", "k", "7"}, {"OBJECT", "REFCOUNT", "k"}},
	},
	{
		name:   "object-idletime",
		reason: "a clock for each key would cost a sixth of the index",
		matches: func(d *difference, _ verbs) bool {
			return d.verb() == "object" && isOneOf(d.word(1), "IDLETIME") && d.redis[0] == ':' && d.nitro[0] == '-'
		},
		example: [][]string{{"SET", "k", "v"}, {"OBJECT", "IDLETIME", "k"}},
	},
	{
		name:   "scan-cursor",
		reason: "a cursor is a plain number; Redis also takes signs, leading zeros and nothing at all",
		matches: func(d *difference, _ verbs) bool {
			n, err := strconv.ParseUint(d.word(1), 10, 64)
			isPlain := err == nil && strconv.FormatUint(n, 10) == d.word(1)
			return d.verb() == "scan" && !isPlain && string(d.nitro) == "-ERR invalid cursor\r\n"
		},
		example: [][]string{{"SCAN", "-1"}},
	},
	{
		name:   "empty-key-pattern",
		reason: "several stars match the empty key as one does; in Redis only one does",
		matches: func(d *difference, _ verbs) bool {
			if d.verb() != "keys" || d.redis[0] == '-' || d.nitro[0] == '-' {
				return false
			}
			redis, nitro := parse(d.redis), parse(d.nitro)
			redis.elems = append(redis.elems, reply{kind: '$'})
			return strings.Trim(d.word(1), "*") == "" && slices.Equal(redis.sorted(), nitro.sorted())
		},
		example: [][]string{{"SET", "", "v"}, {"KEYS", "**"}},
	},
	{
		name:   "auth-default",
		reason: "a client that sends a password is told that none is set, even for the user default",
		matches: func(d *difference, _ verbs) bool {
			return isOneOf(d.verb(), "auth", "hello") && !d.redisSays("") && d.nitroSays("ERR AUTH <password> called without any password")
		},
		example: [][]string{{"AUTH", "default", "password"}},
	},
	{
		name:   "argument-count",
		reason: "a request that announces more arguments than the server's limit is refused at once",
		stream: "*2000000000\r\n",
	},
	{
		name:   "inline-nul",
		reason: "Redis never answers a line with a NUL in it; here it separates words, as a blank does",
		stream: "PING\x00x\r\n",
	},
}

// quotedMax is how much of an argument any error of nitrokv quotes.
const quotedMax = 128

// verb and word are the command's words, the verb in lower case; empty if there is none.
func (d *difference) verb() string { return strings.ToLower(d.args[0]) }

func (d *difference) word(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// redisSays and nitroSays report whether a server's reply is an error that begins so.
func (d *difference) redisSays(text string) bool { return bytes.HasPrefix(d.redis, []byte("-"+text)) }
func (d *difference) nitroSays(text string) bool { return bytes.HasPrefix(d.nitro, []byte("-"+text)) }

// verbs are what COMMAND LIST names on each server.
type verbs struct{ redis, nitro map[string]bool }

func knownVerbs(t *testing.T, p pair) verbs {
	t.Helper()
	set := func(s speaker) map[string]bool {
		names := map[string]bool{}
		for _, name := range elements(t, s, "COMMAND", "LIST") {
			names[name] = true
		}
		return names
	}
	return verbs{set(p.redis), set(p.nitro)}
}

// Each accepted difference is still one, and its example belongs to it and to no other.
func TestAcceptedDifferencesExist(t *testing.T) {
	redis, nitro := startRedis(t), startNitro(t)
	p := pair{redis.dial(t), nitro.dial(t)}
	known := knownVerbs(t, p)
	for _, a := range acceptedDifferences {
		t.Run(a.name, func(t *testing.T) {
			if a.stream != "" {
				if reply := lastWords(t, nitro, a.stream); reply == lastWords(t, redis, a.stream) {
					t.Errorf("it is gone: both servers answer %q", reply)
				}
				return
			}
			commands := []command{{args: []string{"FLUSHALL"}}}
			for _, args := range a.example {
				commands = append(commands, command{args: args})
			}
			fromRedis, fromNitro, err := p.both(commands)
			if err != nil {
				t.Fatal(err)
			}
			last := len(commands) - 1
			d := &difference{last, commands[last], fromRedis[last], fromNitro[last]}
			if same(d.command, d.redis, d.nitro) {
				t.Fatalf("it is gone: %v", d)
			}
			if got := accept(d, known); got == nil || got.name != a.name {
				t.Errorf("it counts as %v: %v", got, d)
			}
		})
	}
}
