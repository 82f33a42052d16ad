package example;

public class Bean {
  public static class Person {
    private String name;

    public String getName() {
      return name;
    }

    public void setName(String name) {
      this.name = name;
    }
  }

  public Person handleRequest(Person person) {
    person.setName(person.getName() + "!");
    return person;
  }
}
