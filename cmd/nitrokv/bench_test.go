package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// Every workload runs over both protocols, with records of 1,000 bytes.
func TestBenchWorkloads(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	for _, workload := range []string{"a", "b", "C", "d", "f"} {
		for _, protocol := range []string{"binary", "resp"} {
			r := call("", env, "bench", "--workload", workload, "--protocol", protocol, "--load", "--keys", "500", "--requests", "2000", "--clients", "4", "--json")
			var got struct {
				Workload, Distribution string
				Requests, Misses       int64
				Keys                   int64
				Size                   int                       `json:"value_size_min"`
				Theta                  float64                   `json:"zipf_theta"`
				Modify                 *struct{ Requests int64 } `json:"rmw"`
			}
			if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.status != 0 {
				t.Fatalf("%s over %s: %+v, %v", workload, protocol, r, err)
			}
			if got.Workload != strings.ToLower(workload) || got.Requests != 2000 || got.Misses != 0 || got.Size != 1000 || got.Theta != 0.99 ||
				(got.Modify != nil) != (workload == "f") {
				t.Errorf("%s over %s: %+v", workload, protocol, got)
			}
		}
	}
	r := call("", env, "bench", "--workload", "f", "--keys", "500", "--requests", "2000", "--value-size", "300")
	for _, want := range []string{"YCSB workload f (read-modify-write): 500 keys scrambled-zipfian, values of 300 bytes", "\nrmw "} {
		if r.status != 0 || !strings.Contains(r.stdout, want) || strings.Contains(r.stdout, "\nset ") {
			t.Errorf("no %q, or a row of set, in %+v", want, r)
		}
	}
}

// What contradicts the workload is refused before anything is sent.
func TestBenchWorkloadContradictions(t *testing.T) {
	nobody := refused(t)
	for want, args := range map[string]string{
		"--read-ratio and --workload a":              "--workload a --read-ratio 0.5",
		"--distribution and --workload d":            "--workload d --distribution uniform",
		"--zipf-theta and --workload c":              "--zipf-theta 0.5 --workload c",
		"--verify with --workload b":                 "--workload b --verify",
		"--workload e reads ranges":                  "--workload e",
		`--workload "g": unknown; use a, b, c, d, f`: "--workload g",
	} {
		r := call("", nil, append([]string{"bench", "--addr", nobody}, strings.Fields(args)...)...)
		mustBeError(t, r, fmt.Sprint("bench: ", want))
	}
}
