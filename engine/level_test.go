package engine

import "testing"

func TestParseLevel(t *testing.T) {
	for _, l := range []Level{LevelNever, LevelEverysec, LevelAlways} {
		if got, err := ParseLevel(l.String()); got != l || err != nil {
			t.Errorf("%v: parsed as %v, %v", l, got, err)
		}
	}
	for _, bad := range []string{"", "ALWAYS", "no", "always ", "0", "level 0"} {
		_, err := ParseLevel(bad)
		wantErr(t, bad, err, ErrArgument)
	}
	if got := Level(9).String(); got != "level 9" {
		t.Errorf("an unknown level is called %q", got)
	}
}
