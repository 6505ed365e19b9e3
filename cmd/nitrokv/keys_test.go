package main

import (
	"strings"
	"testing"
	"time"
)

func TestIncr(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	for _, step := range []struct {
		args   []string
		stdout string
	}{
		{[]string{"incr", "n"}, "1\n"},
		{[]string{"incr", "n", "41"}, "42\n"},
		{[]string{"incr", "n", "-50"}, "-8\n"},
		{[]string{"INCR", "n", "+8"}, "0\n"},
		{[]string{"incr", "n", "0.1"}, "0.1\n"},
		{[]string{"incr", "n", "0.2"}, "0.3\n"},
		{[]string{"incr", "n", "-1.3e0"}, "-1\n"},
		{[]string{"incr", "n", "-9223372036854775807"}, "-9223372036854775808\n"},
		{[]string{"incr", "-", "-5"}, "-5\n"},
	} {
		if r := call("", env, step.args...); r.status != 0 || r.stdout != step.stdout || r.stderr != "" {
			t.Errorf("%q: %+v, want %q", step.args, r, step.stdout)
		}
	}
	if r := call("", env, "put", "word", "abc"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"not an integer", []string{"incr", "word"}},
		{"not a valid float", []string{"incr", "word", "0.5"}},
		{"would overflow", []string{"incr", "n", "-1"}},
		{"is not a number", []string{"incr", "n", "many"}},
		{"is not a number", []string{"incr", "n", "0x10"}},
		{"is not a number", []string{"incr", "n", "inf"}},
		{"is not a number", []string{"incr", "n", ""}},
		{"write 9223372036854775808.0", []string{"incr", "n", "9223372036854775808"}},
		{"needs a key", []string{"incr"}},
		{"needs a key", []string{"incr", "n", "1", "2"}},
	} {
		mustBeError(t, call("", env, test.args...), test.want)
	}
}

func TestTTLAndExpire(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	for _, step := range []struct {
		args   []string
		status int
		stdout string
	}{
		{[]string{"put", "k", "v"}, 0, ""},
		{[]string{"ttl", "k"}, 0, "none\n"},
		{[]string{"expire", "k", "2h"}, 0, ""},
		{[]string{"expire", "k", "none"}, 0, ""},
		{[]string{"ttl", "k"}, 0, "none\n"},
		{[]string{"expire", "k", "None"}, 0, ""},
		{[]string{"ttl", "missing"}, 1, ""},
		{[]string{"expire", "missing", "1h"}, 1, ""},
		{[]string{"expire", "missing", "none"}, 1, ""},
		{[]string{"Expire", "k", "90m"}, 0, ""},
	} {
		r := call("", env, step.args...)
		if r.status != step.status || r.stdout != step.stdout || (r.stderr == "") != (step.status == 0) {
			t.Errorf("%q: %+v, want status %d and %q", step.args, r, step.status, step.stdout)
		}
	}
	r := call("", env, "ttl", "k")
	left, err := time.ParseDuration(strings.TrimSuffix(r.stdout, "\n"))
	if err != nil || left <= time.Hour || left > 90*time.Minute {
		t.Errorf("ttl of a key with 90m: %+v, %v", r, err)
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"needs one key", []string{"ttl"}},
		{"needs one key", []string{"ttl", "a", "b"}},
		{"needs a key and a duration", []string{"expire", "k"}},
		{"is not a duration", []string{"expire", "k", "30"}},
		{"not a time to come", []string{"expire", "k", "-5s"}},
		{"nitrokv del KEY", []string{"expire", "k", "0s"}},
	} {
		mustBeError(t, call("", env, test.args...), test.want)
	}
}
