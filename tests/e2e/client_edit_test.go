package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
)

// The client's calls that change or read a part of a value.
func TestClientEdits(t *testing.T) {
	ctx, c := dial(t, start(t))
	n, err := c.Append(ctx, "text", []byte("Hello"))
	check(t, "Append to nothing", n, err, 5)
	n, err = c.Append(ctx, "text", []byte(" World"))
	check(t, "Append", n, err, 11)
	n, err = c.SetRange(ctx, "text", 6, []byte("There"))
	check(t, "SetRange", n, err, 11)
	value, err := c.GetRange(ctx, "text", -5, -1)
	check(t, "GetRange", string(value), err, "There")
	at := time.UnixMilli(4102444800123)
	value, err = c.GetEx(ctx, "text", client.WithExpiry(at))
	check(t, "GetEx", string(value), err, "Hello There")
	expires, ok, err := c.ExpireTime(ctx, "text")
	check(t, "ExpireTime", expires.Equal(at) && ok, err, true)
	if err := c.ExpireAt(ctx, "text", at.Add(time.Hour), client.ExpireIfSooner); !errors.Is(err, client.ErrNotStored) {
		t.Errorf("ExpireAt a later time, if it is sooner: %v, want ErrNotStored", err)
	}
	_, err = c.GetEx(ctx, "text", client.WithoutExpiry())
	check(t, "GetEx", err == nil, err, true)
	_, ok, err = c.ExpireTime(ctx, "text")
	check(t, "whether the key expires then", ok, err, false)
	value, err = c.GetDel(ctx, "text")
	check(t, "GetDel", string(value), err, "Hello There")
	if _, err := c.GetDel(ctx, "text"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("GetDel of a missing key: %v, want ErrNotFound", err)
	}
	f, err := c.IncrFloat(ctx, "f", 0.1)
	check(t, "IncrFloat", f, err, 0.1)
	text, err := c.IncrDecimal(ctx, "f", "0.2")
	check(t, "IncrDecimal", text, err, "0.3")
	if _, err := c.IncrDecimal(ctx, "f", "much"); !errors.Is(err, client.ErrNotNumber) {
		t.Errorf("IncrDecimal by a word: %v, want ErrNotNumber", err)
	}
	if _, err := c.SetRange(ctx, "far", 1<<31, []byte("x")); !errors.Is(err, client.ErrTooLarge) {
		t.Errorf("SetRange beyond the largest value: %v, want ErrTooLarge", err)
	}
}

// The calls that give names.
func TestClientNames(t *testing.T) {
	ctx, c := dial(t, start(t))
	if key, err := c.RandomKey(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("RandomKey of an empty store: %q, %v, want ErrNotFound", key, err)
	}
	ok, err := c.MSetNX(ctx, []client.KV{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("2")}})
	check(t, "MSetNX", ok, err, true)
	ok, err = c.MSetNX(ctx, []client.KV{{Key: "b"}, {Key: "c"}})
	check(t, "MSetNX of a key that is there", ok, err, false)
	ok, err = c.RenameNX(ctx, "a", "b")
	check(t, "RenameNX onto a key", ok, err, false)
	ok, err = c.Copy(ctx, "a", "b", false)
	check(t, "Copy onto a key", ok, err, false)
	ok, err = c.Copy(ctx, "a", "b", true)
	check(t, "Copy that replaces", ok, err, true)
	if err := c.Rename(ctx, "a", "c"); err != nil {
		t.Errorf("Rename: %v", err)
	}
	if err := c.Rename(ctx, "a", "c"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("Rename of a missing key: %v, want ErrNotFound", err)
	}
	values, err := c.MGet(ctx, "a", "b", "c")
	check(t, "what the names stand for", string(bytes.Join(values, []byte(","))), err, ",1,1")
	key, err := c.RandomKey(ctx)
	check(t, "RandomKey", key == "b" || key == "c", err, true)
}

// Large values go another way than small ones: composed aside, read from where they lie, shared by two names.
func TestClientEditsLargeValues(t *testing.T) {
	ctx, c := dial(t, start(t))
	want := bytes.Repeat([]byte(allBytes()), 1<<20/256)
	if err := c.Set(ctx, "big", want[:60_000]); err != nil {
		t.Fatal(err)
	}
	for at := 60_000; at < len(want); at += 200_000 {
		end := min(at+200_000, len(want))
		n, err := c.Append(ctx, "big", want[at:end])
		check(t, "Append", n, err, end)
	}
	ok, err := c.Copy(ctx, "big", "copy", false)
	check(t, "Copy", ok, err, true)
	if _, err := c.SetRange(ctx, "big", 500_000, []byte("changed")); err != nil {
		t.Error(err)
	}
	got, err := c.GetRange(ctx, "copy", 0, -1)
	check(t, "the copy is as before", bytes.Equal(got, want), err, true)
	got, err = c.GetRange(ctx, "big", 499_999, 500_007)
	check(t, "a part of the other", string(got), err, string(want[499_999])+"changed"+string(want[500_007]))
	if err := c.Rename(ctx, "big", "copy"); err != nil {
		t.Error(err)
	}
	got, err = c.GetDel(ctx, "copy")
	copy(want[500_000:], "changed")
	check(t, "GetDel of a large value", bytes.Equal(got, want), err, true)
}

// A password protects the binary protocol, too, and gets into no log.
func TestClientPassword(t *testing.T) {
	const secret = "correct horse battery staple"
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "--dir", filepath.Join(t.TempDir(), "data"), "--password-file", file)
	p.listening(t)
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	for name, test := range map[string]struct {
		o    client.Options
		want error
	}{
		"right":      {client.Options{Password: secret}, nil},
		"named user": {client.Options{Username: "default", Password: secret, Checksums: true}, nil},
		"wrong":      {client.Options{Password: secret + "r"}, client.ErrUnauthorized},
		"wrong user": {client.Options{Username: "root", Password: secret}, client.ErrUnauthorized},
		"none":       {client.Options{}, client.ErrUnauthorized},
	} {
		c, err := client.Open(p.addr, &test.o)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Set(ctx, "k", []byte("v"))
		if !errors.Is(err, test.want) || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("password %s: %v, want %v", name, err, test.want)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(p.logged(), secret) {
		t.Error("the password stands in the server's log")
	}
}
