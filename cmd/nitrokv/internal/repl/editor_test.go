package repl

import "testing"

// A hint is cut between two arguments where the line ends; the size of what is no terminal is 80 columns.
func TestRoomForHints(t *testing.T) {
	const hint = " key value [NX|XX|IFVER version] [GET] [EX seconds|PX ms]"
	for _, test := range []struct{ prompt, line, hint, want string }{
		{"127.0.0.1:6379> ", "set", hint, hint},
		{"host.example.com:6379> ", "set", hint, " key value [NX|XX|IFVER version] [GET] …"},
		{"host.example.com:6379> ", "set", hint[1:], "key value [NX|XX|IFVER version] [GET] …"},
		{"host.example.com:6379> ", "set a long key with some words in it", hint, " key value …"},
		{"host.example.com:6379> ", "set 日本語日本語日本語日本語日本語日本語", hint, " key value …"},
		{"host.example.com:6379> ", "set a long key with some words in it and more", hint, " key …"},
		{"host.example.com:6379> ", "set a long key with so many words in it that nothing fits", hint, ""},
		{"> ", "get", " key", " key"},
	} {
		e := &Editor{tty: &tty{fd: -1}, prompt: test.prompt}
		if got := e.room(test.line, test.hint); got != test.want {
			t.Errorf("%s%s: %q, want %q", test.prompt, test.line, got, test.want)
		}
	}
}
