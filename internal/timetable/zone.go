package timetable

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
	// A machine that serves need not have a database of time zones.
	_ "time/tzdata"
)

var offset = regexp.MustCompile(`^UTC([+-])([0-9]{2}):([0-9]{2})$`)

// abbreviations are the three letters of time zones as Java reads them, whose
// list CodePipeline refers to. Most of them mean several zones in the world.
var abbreviations = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare",
	"CNT": "America/St_Johns", "CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa",
	"ECT": "Europe/Paris", //nolint:misspell // the abbreviation
	"IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo",
	"MIT": "Pacific/Apia", "NET": "Asia/Yerevan", "NST": "Pacific/Auckland", "PLT": "Asia/Karachi",
	"PNT": "America/Phoenix", "PRT": "America/Puerto_Rico", "PST": "America/Los_Angeles", "SST": "Pacific/Guadalcanal",
	"VST": "Asia/Ho_Chi_Minh",
}

// Zone is a time zone by its name: Europe/Berlin, UTC+05:30, UTC, which "" is
// too, or an abbreviation such as PST.
func Zone(name string) (*time.Location, error) {
	if m := offset.FindStringSubmatch(name); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi(m[3])
		if hours > 18 || minutes > 59 {
			return nil, fmt.Errorf("there is no time zone %s", name)
		}
		east := (hours*60 + minutes) * 60
		if m[1] == "-" {
			east = -east
		}
		return time.FixedZone(name, east), nil
	}
	if full, ok := abbreviations[name]; ok {
		name = full
	}
	location, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q: write it like Europe/Berlin or UTC+05:30", name)
	}
	return location, nil
}
