package waves

import "time"

// Status is where a rollout is.
type Status struct {
	Bundle string       `json:"bundle"` // digest that proxies are led to
	Since  time.Time    `json:"since"`
	Wave   string       `json:"wave"` // the latest that has begun
	Waves  []WaveStatus `json:"waves"`
}

// WaveStatus is one wave of it.
type WaveStatus struct {
	Name    string     `json:"name"`
	Who     string     `json:"who"`
	State   Progress   `json:"state"`
	Since   *time.Time `json:"since,omitempty"` // of the latest that has begun
	Proxies int        `json:"proxies"`         // connected, of a wave that has begun and of none before it
	Acked   int        `json:"acked"`           // of them, that have acknowledged all of the bundle
}

// Progress is how far a wave is.
type Progress string

// States of a wave.
const (
	StateWaiting       Progress = "waiting"
	StateAcknowledging Progress = "acknowledging"
	StateBaking        Progress = "baking"
	StateDone          Progress = "done"
)

// StatusOf is where the rollout under way is; nil: there is none.
func StatusOf(state State, proxies []Seen) *Status {
	r := state.Run
	if r == nil {
		return nil
	}
	out := &Status{Bundle: r.Bundle, Since: r.Began, Wave: r.WaveName(r.Wave)}
	for i := range r.Plan.Waves {
		out.Waves = append(out.Waves, WaveStatus{Name: r.WaveName(i), Who: r.Plan.Waves[i].String(), State: StateWaiting})
	}
	if n := len(r.Plan.Waves); n == 0 || !r.Plan.Waves[n-1].Everybody() {
		out.Waves = append(out.Waves, WaveStatus{Name: r.WaveName(n), Who: Rest, State: StateWaiting})
	}
	for i := range out.Waves[:r.Wave] {
		out.Waves[i].State = StateDone
	}
	latest := &out.Waves[r.Wave]
	latest.State, latest.Since = StateAcknowledging, &r.Since
	if r.Baking {
		latest.State = StateBaking
	}
	for i := range proxies {
		p := &proxies[i]
		if state.Leads(p.Proxy) != r.Bundle {
			continue
		}
		w := &out.Waves[r.WaveOf(p.Proxy)]
		w.Proxies++
		if p.Bundle == r.Bundle && p.Synced {
			w.Acked++
		}
	}
	return out
}
