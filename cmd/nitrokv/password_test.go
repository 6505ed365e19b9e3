package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nitrokv/nitrokv/server"
)

// passwordFile writes a file that nobody else can read.
func passwordFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadPassword(t *testing.T) {
	long := strings.Repeat("p", 512)
	for name, test := range map[string]struct{ text, want, problem string }{
		"plain":        {"hunter2", "hunter2", ""},
		"newline":      {"hunter2\n", "hunter2", ""},
		"newlines":     {"hunter2\r\n\n", "hunter2", ""},
		"spaces count": {" two words \n", " two words ", ""},
		"any bytes":    {"\x00\xff\n\x01\n", "\x00\xff\n\x01", ""},
		"longest":      {long + "\n", long, ""},
		"too long":     {long + "p\n", "", "longer than 512 bytes"},
		"much too big": {strings.Repeat("p", 1<<20), "", "is larger than"},
		"empty":        {"", "", "empty"},
		"newline only": {"\n", "", "empty"},
	} {
		path := passwordFile(t, test.text)
		got, warning, err := (&passwordConfig{file: path}).read()
		if got != test.want || warning != "" || (err == nil) != (test.problem == "") {
			t.Errorf("%s: %q, warning %q, error %v", name, got, warning, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "pppp")) {
			t.Errorf("%s: error %q", name, err)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent"), t.TempDir()} {
		if _, _, err := (&passwordConfig{file: path}).read(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestPasswordFilePermissions(t *testing.T) {
	path := passwordFile(t, "hunter2")
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o440: false, 0o640: false, 0o604: true, 0o620: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		got, warning, err := (&passwordConfig{file: path}).read()
		if got != "hunter2" || err != nil || (warning != "") != warns {
			t.Errorf("mode %o: %q, warning %q, error %v", mode, got, warning, err)
		}
		if warns && !strings.HasSuffix(warning, "run: chmod 600 "+path) {
			t.Errorf("mode %o: the warning doesn't say what to do: %q", mode, warning)
		}
	}
}

// The file and the variable are two forms of one setting: the stronger source counts.
func TestPasswordPrecedence(t *testing.T) {
	file := passwordFile(t, "of the file")
	config := configFileOf(t, "password-file = '"+file+"'")
	for _, test := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, ""},
		{[]string{"--password-file", file}, nil, "of the file"},
		{nil, []string{"NITROKV_PASSWORD_FILE=" + file}, "of the file"},
		{nil, []string{"NITROKV_PASSWORD=typed"}, "typed"},
		{nil, []string{"NITROKV_PASSWORD="}, ""},
		{[]string{"--password-file", file}, []string{"NITROKV_PASSWORD=typed"}, "of the file"},
		{[]string{"--password-file", file}, []string{"NITROKV_PASSWORD_FILE=absent"}, "of the file"},
		{[]string{"--config", config}, nil, "of the file"},
		{[]string{"--config", config}, []string{"NITROKV_PASSWORD=typed"}, "typed"},
	} {
		cfg, err := resolveServe(t, test.args, test.env)
		if err != nil {
			t.Errorf("%q with %q: %v", test.args, test.env, err)
			continue
		}
		if got, _, err := cfg.password.read(); got != test.want || err != nil {
			t.Errorf("%q with %q: %q, %v; want %q", test.args, test.env, got, err, test.want)
		}
	}
	_, err := resolveServe(t, nil, []string{"NITROKV_PASSWORD=hunter2", "NITROKV_PASSWORD_FILE=" + file})
	if err == nil || !strings.HasPrefix(err.Error(), "NITROKV_PASSWORD and NITROKV_PASSWORD_FILE are both given") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("two variables: %v", err)
	}
}

// Every command that asks a server takes the password from the file and from the variable.
func TestCommandsGiveThePassword(t *testing.T) {
	addr := startServerWith(t, server.Options{Password: "s3cret words"})
	file := passwordFile(t, "s3cret words\n")
	for _, command := range [][]string{
		{"put", "k", "v"}, {"get", "k"}, {"stats", "server"}, {"del", "k"},
		{"bench", "--requests", "100", "--clients", "2", "--keys", "10"},
		{"bench", "--requests", "100", "--clients", "2", "--keys", "10", "--protocol", "resp"},
	} {
		command = append(command, "--addr", addr)
		if r := call("", []string{"NITROKV_PASSWORD=s3cret words"}, command...); r.status != exitOK {
			t.Errorf("%q with the variable: %+v", command, r)
		}
		if command[0] == "del" {
			call("", []string{"NITROKV_PASSWORD=s3cret words"}, "put", "k", "v", "--addr", addr)
		}
		if r := call("", nil, append(command, "--password-file", file)...); r.status != exitOK || r.stderr != "" {
			t.Errorf("%q with the file: %+v", command, r)
		}
	}
}

// Without the password, or with a wrong one, a command fails with one line that says what to do and doesn't repeat it.
func TestCommandsWithoutThePassword(t *testing.T) {
	addr := startServerWith(t, server.Options{Password: "s3cret words"})
	bench := []string{"bench", "--requests", "100", "--clients", "2", "--addr", addr}
	for _, test := range []struct {
		env  []string
		args []string
		want string
	}{
		{nil, []string{"get", "k", "--addr", addr}, "asks for a password; name a file that holds it with --password-file, or set NITROKV_PASSWORD"},
		{[]string{"NITROKV_PASSWORD=hunter2"}, []string{"get", "k", "--addr", addr}, "refuses the password; correct --password-file or NITROKV_PASSWORD"},
		{[]string{"NITROKV_PASSWORD=hunter2"}, bench, "give " + addr + " the password: authentication failed"},
		{[]string{"NITROKV_PASSWORD=hunter2"}, append(bench, "--protocol=resp"), "give " + addr + " the password: WRONGPASS"},
		{[]string{"NITROKV_PASSWORD_FILE=/absent/file"}, bench, "read the password file: open /absent/file"},
	} {
		r := call("", test.env, test.args...)
		mustBeError(t, r, test.want)
		if strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%q repeats the password: %s", test.args, r.stderr)
		}
	}
}

// The server warns of a file that others can read, and never tells what is in it.
func TestServeTakesThePassword(t *testing.T) {
	file := passwordFile(t, "s3cret words\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	config := configFileOf(t, "password-file = '"+file+"'\nlisten = '0.0.0.0:0'\ndir = 'off'\nsegments = 4\nlog-level = 'debug'\n")
	p := startProgram(t, "serve", "--config", config)
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	if r := call("", []string{"NITROKV_PASSWORD=s3cret words"}, "put", "k", "v", "--addr", addr); r.status != exitOK {
		t.Errorf("put: %+v", r)
	}
	if r := call("", []string{"NITROKV_PASSWORD=hunter2"}, "get", "k", "--addr", addr); r.status != exitError {
		t.Errorf("get with a wrong password: %+v", r)
	}
	p.stop(t, syscall.SIGTERM, 0)
	said := strings.Join(p.said, "\n")
	if !strings.Contains(said, "others can read or change the password file "+file) || !strings.Contains(said, `"file":"`+config+`"`) {
		t.Errorf("it doesn't mention the files: %s", said)
	}
	if strings.Contains(said, "s3cret") || strings.Contains(said, "hunter2") {
		t.Errorf("a password is in the log: %s", said)
	}
}

// A listener that others can reach needs a password, or to be told that it doesn't.
func TestOpenListenerIsRefused(t *testing.T) {
	open := []string{"serve", "--listen", "0.0.0.0:0", "--dir", "off", "--max-clients", "10"}
	r := call("", nil, open...)
	for _, want := range []string{"--password-file", "NITROKV_PASSWORD", "--insecure-no-auth"} {
		mustBeError(t, r, want)
	}
	mustBeError(t, call("", nil, append(open, "--password-file", passwordFile(t, "\n"))...), "empty")
}
