package dockerfile_test

import (
	"testing"
)

func TestAWayBuilds(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, p *place) {
		b, said := p.build(map[string]string{"Dockerfile": "FROM BASE\nARG WHO\nCOPY greeting /greeting\nRUN echo $WHO >> /greeting && echo built $WHO\nENTRYPOINT [\"/bin/cat\", \"/greeting\"]\n", "greeting": "hello\n"})
		b.Args = map[string]string{"WHO": "you"}
		image := p.made(b, said)
		if got := files(t, image)["greeting"]; got != "hello\nyou\n" {
			t.Errorf("the file is %q\n%s", got, said)
		}
		t.Log(said)
	})
}
