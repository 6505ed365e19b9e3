package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsMasked(t *testing.T) {
	const text = "correct-horse"
	opt := Options{Password: text}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10.3s", "%T %[1]v"} {
		fmt.Fprintf(&out, verb+"\n", opt.Password)
		fmt.Fprintf(&out, verb+"\n", opt)
		fmt.Fprintf(&out, verb+"\n", &opt)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("starting", "password", opt.Password, "options", struct{ Password Secret }{opt.Password})
	}
	must(t, json.NewEncoder(&out).Encode(struct{ P Secret }{opt.Password}))
	if strings.Contains(out.String(), text) || strings.Contains(out.String(), fmt.Sprintf("%x", text)) {
		t.Errorf("the secret shows in %s", &out)
	}
	if !strings.Contains(out.String(), secretMask) || Secret("").String() != "" {
		t.Errorf("no mask in %s", &out)
	}
}
