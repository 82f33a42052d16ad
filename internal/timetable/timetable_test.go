package timetable_test

import (
	"strings"
	"testing"
	"time"

	"github.com/towline/towline/internal/timetable"
)

const minute = "2006-01-02 15:04"

func parse(t *testing.T, expression, zone string) timetable.Timetable {
	t.Helper()
	got, err := timetable.Parse(expression, zone)
	if err != nil {
		t.Fatalf("%q in %q: %v", expression, zone, err)
	}
	return got
}

func TestNextIsTheFirstMinuteAfterwards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expression, zone, after, want string
	}{
		"in the morning":                           {"0 6 * * 1-5", "", "2026-11-23 05:59", "2026-11-23 06:00"}, // a Monday
		"not the same minute again":                {"0 6 * * 1-5", "", "2026-11-23 06:00", "2026-11-24 06:00"},
		"over the weekend":                         {"0 6 * * 1-5", "", "2026-11-27 06:00", "2026-11-30 06:00"},
		"a zone ahead of UTC":                      {"0 6 * * *", "Europe/Berlin", "2026-11-23 04:59", "2026-11-23 05:00"},
		"that zone in summer":                      {"0 6 * * *", "Europe/Berlin", "2026-07-23 00:00", "2026-07-23 04:00"},
		"an offset":                                {"0 6 * * *", "UTC+05:30", "2026-07-23 00:00", "2026-07-23 00:30"},
		"an offset to the west":                    {"0 6 * * *", "UTC-03:00", "2026-07-23 00:00", "2026-07-23 09:00"},
		"an abbreviation":                          {"0 6 * * *", "PST", "2026-07-23 00:00", "2026-07-23 13:00"},
		"either day is enough in crontab":          {"0 0 13 * FRI", "", "2026-11-10 00:00", "2026-11-13 00:00"},
		"the other of the two days":                {"0 0 14 * FRI", "", "2026-11-13 00:00", "2026-11-14 00:00"},
		"steps":                                    {"*/20 * * * *", "", "2026-11-10 00:20", "2026-11-10 00:40"},
		"the day that leap years have":             {"0 0 29 2 *", "", "2026-11-10 00:00", "2028-02-29 00:00"},
		"never":                                    {"0 0 30 2 *", "", "2026-11-10 00:00", ""},
		"a minute that clocks skip":                {"30 2 * * *", "Europe/Berlin", "2026-03-28 02:00", "2026-03-30 00:30"},
		"a minute that clocks repeat, first":       {"30 2 25 10 *", "Europe/Berlin", "2026-10-25 00:00", "2026-10-25 00:30"},
		"a minute that clocks repeat, again":       {"30 2 25 10 *", "Europe/Berlin", "2026-10-25 00:30", "2026-10-25 01:30"},
		"a day without midnight":                   {"0 1 8 9 *", "America/Santiago", "2024-09-01 00:00", "2024-09-08 04:00"},
		"CodePipeline's own example":               {"0 0 9-17 ? * MON-FRI *", "PST", "2026-11-21 01:00", "2026-11-23 17:00"},
		"Sunday is 1":                              {"* 0 0 ? * 1", "", "2026-11-23 00:00", "2026-11-29 00:00"},
		"Saturday is 7":                            {"* 0 0 ? * 7", "", "2026-11-23 00:00", "2026-11-28 00:00"},
		"Saturday is L":                            {"* 0 0 ? * L", "", "2026-11-23 00:00", "2026-11-28 00:00"},
		"a list of days with a step":               {"* 0 0 ? * 2-6/2", "", "2026-11-23 00:00", "2026-11-25 00:00"},
		"the last day of the month":                {"* 0 0 L * ?", "", "2027-02-01 00:00", "2027-02-28 00:00"},
		"three days before the last":               {"* 0 0 L-3 * ?", "", "2026-11-01 00:00", "2026-11-27 00:00"},
		"the last weekday of the month":            {"* 0 0 LW * ?", "", "2026-10-01 00:00", "2026-10-30 00:00"}, // the 31st is a Saturday
		"the weekday nearest to a Sunday":          {"* 0 0 15W * ?", "", "2026-11-01 00:00", "2026-11-16 00:00"},
		"the weekday nearest to a Saturday":        {"* 0 0 14W * ?", "", "2026-11-01 00:00", "2026-11-13 00:00"},
		"the weekday nearest to Saturday the 1st":  {"* 0 0 1W * ?", "", "2026-08-01 00:00", "2026-08-03 00:00"},
		"the weekday nearest to the last, Sunday":  {"* 0 0 31W * ?", "", "2026-05-01 00:00", "2026-05-29 00:00"},
		"a month that is too short is passed over": {"* 0 0 31W * ?", "", "2026-10-31 00:00", "2026-12-31 00:00"},
		"the last Friday":                          {"* 0 0 ? * 6L", "", "2026-11-01 00:00", "2026-11-27 00:00"},
		"the last Friday by name":                  {"* 0 0 ? * friL", "", "2026-11-01 00:00", "2026-11-27 00:00"},
		"the third Friday":                         {"* 0 0 ? * 6#3", "", "2026-11-01 00:00", "2026-11-20 00:00"},
		"the fifth Friday":                         {"* 0 0 ? * 6#5", "", "2026-11-01 00:00", "2027-01-29 00:00"},
		"a year":                                   {"* 0 0 1 1 ? 2030", "", "2026-11-01 00:00", "2030-01-01 00:00"},
		"every second year":                        {"* 0 0 1 1 ? 2026/2", "", "2026-11-01 00:00", "2028-01-01 00:00"},
		"a year that is over":                      {"* 0 0 1 1 ? 2020-2025", "", "2026-11-01 00:00", ""},
		"never, in a window":                       {"* 0 0 L-30 2 ?", "", "2026-11-01 00:00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after, err := time.Parse(minute, c.after)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := parse(t, c.expression, c.zone).Next(after)
			if text := got.UTC().Format(minute); ok != (c.want != "") || ok && text != c.want {
				t.Errorf("got %s, %v; want %s", text, ok, c.want)
			}
		})
	}
}

func TestAWindowHoldsItsMinutesWhole(t *testing.T) {
	t.Parallel()
	window := parse(t, "* 0-29 9-17 ? * MON-FRI", "Europe/Berlin")
	for at, want := range map[string]bool{
		"2026-11-23 07:59:59": false, "2026-11-23 08:00:00": true, "2026-11-23 08:29:59": true, "2026-11-23 08:30:00": false,
		"2026-11-23 16:29:59": true, "2026-11-23 17:00:00": false, "2026-11-22 10:00:00": false,
	} {
		when, err := time.Parse(time.DateTime, at)
		if err != nil {
			t.Fatal(err)
		}
		if window.Holds(when) != want {
			t.Errorf("%s: want %v", at, want)
		}
	}
	if (timetable.Timetable{}).Holds(time.Now()) {
		t.Error("the zero value holds a minute")
	}
}

func TestClosesIsWhereTheMinutesEnd(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 10, 15, 30, 0, time.UTC)
	for expression, want := range map[string]string{
		"* 9-17 * * *": "2026-11-23 18:00", "15 10 * * *": "2026-11-23 10:16", "* 11 * * *": "2026-11-23 10:15", "* * * * *": "", "* * * 11 *": "2026-12-01 00:00",
	} {
		got, ok := parse(t, expression, "").Closes(at)
		if ok != (want != "") || ok && got.Format(minute) != want {
			t.Errorf("%s: got %s, %v; want %s", expression, got, ok, want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, zone, want string }{
		{"", "", "it has 0 fields: write minute, hour"},
		{"* * * *", "", "it has 4 fields"},
		{"* * * * * * * *", "", "it has 8 fields"},
		{strings.Repeat("*", 300), "", "the most is 200"},
		{"TZ=0 * * * *", "", "is not made of numbers"},
		{"@every 1s * * *", "", "is not made of numbers"},
		{"60 * * * *", "", "above maximum (59)"},
		{", * * * *", "", "names nothing"},
		{"* * * * 7", "", "above maximum (6)"},
		{"0 0 0 1 1 2", "", "both the day of the month (1) and the day of the week (2) are restricted"},
		{"x * * * * ?", "", `the seconds are "X"`},
		{"* * * 32W * ?", "", "there is no day 32"},
		{"* * * ? * 8", "", "8 is no day of the week"},
		{"* * * ? * 0", "", "0 is no day of the week"},
		{"* * * ? * XYL", "", `"XY" is no day of the week`},
		{"* * * ? * 6#6", "", "6#6"},
		{"* * * ? * * 1969", "", `"1969" are no years`},
		{"* * * ? * * 2200", "", "are no years"},
		{"* * * ? * * 2000/9223372036854775807", "", "are no years"},
		{"* * * * *", "Mars/Olympus", `there is no time zone "Mars/Olympus"`},
		{"* * * * *", "../../etc/passwd", "there is no time zone"},
		{"* * * * *", "Local", "there is no time zone"},
		{"* * * * *", "UTC+99:00", "there is no time zone"},
	} {
		if _, err := timetable.Parse(c.expression, c.zone); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %q: got %v, want %s", c.expression, c.zone, err, c.want)
		}
	}
	if _, err := timetable.ParseSchedule("* * * * * ?", ""); err == nil || !strings.Contains(err.Error(), "it has 6 fields, and a schedule has five") {
		t.Errorf("a window as a schedule: %v", err)
	}
}

func TestWindowIsTheFormOfCodePipeline(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"* 9-17 * * 1-5": "* * 9-17 ? * 2-6", "* 9-17 * * MON-FRI": "* * 9-17 ? * MON-FRI", "0 6 1,15 * *": "* 0 6 1,15 * ?",
		"* * * * *": "* * * * * ?", "* * ? * ?": "* * * * * ?", "* * * * 0/2": "* * * ? * 1/2", "* 9 ? * MON-FRI": "* * 9 ? * MON-FRI",
		"0 0 9-17 ? * MON-FRI *": "0 0 9-17 ? * MON-FRI *",
	} {
		got, err := timetable.Window(expression)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", expression, got, err, want)
			continue
		}
		parse(t, got, "")
	}
	if _, err := timetable.Window("0 0 1 * MON"); err == nil || !strings.Contains(err.Error(), "write * for one of them") {
		t.Errorf("two days: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 6 * * 1-5", "0 0 30 2 *", "* * 9-17 ? * MON-FRI", "0 0 0 LW 2 ? 2026-2199/3", "* * * L-3 * ?", "* * * 15W * ?", "* * * ? * 6#3", "TZ= * * * *", "@daily", "*/9999999999 * * * *"} {
		f.Add(seed, "Europe/Berlin", int64(1790000000))
	}
	f.Fuzz(func(t *testing.T, expression, zone string, at int64) {
		table, err := timetable.Parse(expression, zone)
		if err != nil {
			return
		}
		// Years that no clock here will show.
		after := time.Unix(at%(1<<33), 0)
		if next, ok := table.Next(after); ok && (!next.After(after) || !table.Holds(next)) {
			t.Errorf("%q in %q after %s: %s", expression, zone, after, next)
		}
		if form, err := timetable.Window(expression); err == nil {
			same, err := timetable.Parse(form, zone)
			if err != nil {
				t.Fatalf("%q became %q: %v", expression, form, err)
			}
			for i := range 200 {
				if at := after.Add(time.Duration(i) * 7 * time.Hour); same.Holds(at) != table.Holds(at) {
					t.Fatalf("%q became %q, which differs at %s", expression, form, at)
				}
			}
		}
	})
}
