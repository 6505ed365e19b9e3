package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/proto"
)

// TestPasswordAppearsNowhere: what was configured and what was tried shows in no log, no reply and no error.
func TestPasswordAppearsNowhere(t *testing.T) {
	const right, wrong = "horse-battery-right", "horse-battery-wrong"
	var log logBuffer
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	opt := Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Dir: t.TempDir(), Password: right,
		Logger: slog.New(slog.NewMultiHandler(slog.NewTextHandler(&log, all), slog.NewJSONHandler(&log, all)))}
	s, err := New(opt)
	must(t, err)
	unhurried(s)
	serve(t, s)
	waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	said := everythingSaid(t, s, right, wrong)
	must(t, s.Shutdown(context.Background()))
	said["log"] = log.String()
	said["options"] = fmt.Sprintf("%v %+v %#v", opt, opt, opt)
	said["the server's options"] = fmt.Sprintf("%v", struct{ o Options }{s.opt}) // fmt can't call methods on what it finds here
	for name, text := range said {
		if text == "" {
			t.Errorf("%s is empty: the test looks at nothing", name)
		}
		for _, secret := range []string{right, wrong, "horse-battery"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q appears in %s: %s", secret, name, text)
			}
		}
	}
	if !strings.Contains(said["log"], "wrong user or password") || !strings.Contains(said["log"], "not authenticated in time") {
		t.Errorf("the log doesn't tell of wrong passwords and late clients: %s", said["log"])
	}
}

// everythingSaid logs in rightly and wrongly in every way, and collects what the server says.
func everythingSaid(t *testing.T, s *Server, right, wrong string) map[string]string {
	t.Helper()
	said := map[string]string{}
	ask := func(c *client, args ...string) { said[strings.Join(args[:1], " ")] += fmt.Sprint(c.do(args...), "\n") }
	c := dial(t, s)
	for _, args := range [][]string{
		{"AUTH", wrong}, {"AUTH", wrong, right}, {"AUTH", "default", wrong}, {"AUTH", right, right, right}, {"PING"},
		{"HELLO", "3", "AUTH", "default", wrong}, {"HELLO", "3", "AUTH", wrong, right, "SETNAME", "two words"},
		{"HELLO", "3", "AUTH", "default", right}, {"AUTH", right}, {"AUTH", wrong},
		{"INFO", "everything"}, {"COMMAND"}, {"COMMAND", "DOCS"}, {"CLIENT", "LIST"}, {"CLIENT", "INFO"},
		{"CONFIG", "GET", "*"}, {"CONFIG", "GET", "requirepass"}, {"CONFIG", "SET", "timeout", wrong},
	} {
		ask(c, args...)
	}
	c.check(respError("ERR Unknown option or number of arguments for CONFIG SET - 'requirepass'"),
		"CONFIG", "SET", "requirepass", right)
	if list := said["CLIENT"]; !strings.Contains(list, " user=default ") {
		t.Errorf("CLIENT LIST: %s", list)
	}
	b := dial(t, s)
	r := proto.NewReader(b.br, proto.KindReply, proto.Limits{})
	for password, want := range map[string]proto.Status{wrong: proto.EAUTHFAILED, right: proto.OK} {
		m := askBinary(t, b, r, proto.AppendAuth(nil, proto.Meta{}, proto.Auth{User: "default", Password: password}), want)
		said["binary AUTH"] += string(m.Body)
	}
	said["STATS"] = string(askBinary(t, b, r, proto.AppendStats(nil, proto.Meta{}, ""), proto.OK).Body)
	late := dial(t, s)
	late.ask(resp("AUTH", wrong), wrongPass)
	s.find(t, late).lockedAt.Add(-lockedTime.Milliseconds())
	late.expectEnd()
	_, err := New(Options{Password: Secret(strings.Repeat(right, 100))})
	said["error"] = fmt.Sprint(err)
	text, err := json.Marshal(struct{ Password Secret }{Secret(right)})
	must(t, err)
	said["JSON"] = string(text)
	return said
}
