//! The REST API against raw requests. What comes of the calls that it places is tested with the carrier.

use serde_json::Value;

use super::*;

const CALLER: &str = "+14155550100";

struct Client {
    stand_in: RestStandIn,
    http: reqwest::Client,
}

impl Client {
    async fn start() -> Self {
        let stand_in = RestStandIn::start(RestOptions::new("token")).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { stand_in, http }
    }

    fn account(&self, rest: &str) -> String {
        format!("/2010-04-01/Accounts/{}/{rest}", self.stand_in.options().account_sid)
    }

    fn verify(&self, rest: &str) -> String {
        format!("/v2/Services/{}/{rest}", self.stand_in.options().verify_service_sid)
    }

    /// The status and the body; the code of an error.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let options = self.stand_in.options();
        let request = self.http.post(format!("{}{path}", self.stand_in.endpoint())).form(form);
        let request = request.basic_auth(&options.api_key_sid, Some(&options.api_key_secret));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-trunkline-stand-in"], "twilio");
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn refused(&self, path: &str, form: &[(&str, &str)]) -> (u16, u64) {
        let (status, body) = self.post(path, form).await;
        assert_eq!(body["status"], status, "{body}");
        (status, body["code"].as_u64().unwrap())
    }
}

#[tokio::test]
async fn only_who_knows_a_secret_is_let_in() {
    let client = Client::start().await;
    let options = client.stand_in.options().clone();
    let url = format!("{}{}", client.stand_in.endpoint(), client.account("Messages.json"));
    for (user, password, status) in [
        (&options.account_sid, &options.auth_token, 400),
        (&options.api_key_sid, &options.api_key_secret, 400),
        (&options.account_sid, &options.api_key_secret, 401),
        (&options.api_key_sid, &"wrong".to_owned(), 401),
    ] {
        let response = client.http.post(&url).basic_auth(user, Some(password)).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    let response = client.http.post(&url).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers().contains_key("www-authenticate"));
    assert_eq!(response.json::<Value>().await.unwrap()["code"], 20003);
    let elsewhere = "/2010-04-01/Accounts/AC0/Messages.json";
    assert_eq!(client.refused(elsewhere, &[]).await, (404, 20404));
}

#[tokio::test]
async fn a_message_is_kept_and_told() {
    let client = Client::start().await;
    let path = client.account("Messages.json");
    let mut sent = client.stand_in.watch();
    let form = [("To", CALLER), ("From", "+18005550199"), ("Body", "Your table is ready.")];
    let (status, body) = client.post(&path, &form).await;
    assert_eq!((status, body["status"].as_str()), (201, Some("queued")));
    assert!(body["sid"].as_str().unwrap().starts_with("SM"), "{body}");
    let [message] = client.stand_in.messages().try_into().unwrap();
    assert_eq!((message.to.as_str(), message.body.as_str()), (CALLER, "Your table is ready."));
    assert_eq!(sent.recv().await.unwrap(), Sent::Message(message));

    let long = "x".repeat(1601);
    for (to, from, body, code) in [
        ("4155550100", "+18005550199", "x", 21211),
        (CALLER, "+18005550199", " ", 21602),
        (CALLER, "+18005550199", &long, 21617),
        (CALLER, "", "x", 21603),
        (CALLER, "Emberline", "x", 21212),
    ] {
        let refused = client.refused(&path, &[("To", to), ("From", from), ("Body", body)]).await;
        assert_eq!(refused, (400, code));
    }
    assert_eq!(client.stand_in.messages().len(), 1);
}

#[tokio::test]
async fn the_right_code_is_approved_once() {
    let client = Client::start().await;
    let (start, check) = (client.verify("Verifications"), client.verify("VerificationCheck"));
    assert_eq!(client.refused(&check, &[("To", CALLER), ("Code", "123456")]).await, (404, 20404));
    let (status, body) = client.post(&start, &[("To", CALLER), ("Channel", "sms")]).await;
    assert_eq!((status, body["status"].as_str()), (201, Some("pending")));
    let code = client.stand_in.code_for(CALLER).unwrap();
    let (status, body) = client.post(&check, &[("To", CALLER), ("Code", "wrong")]).await;
    assert_eq!(
        (status, body["status"].as_str(), &body["valid"]),
        (201, Some("pending"), &Value::Bool(false))
    );
    let (_, body) = client.post(&check, &[("To", CALLER), ("Code", &code)]).await;
    assert_eq!((body["status"].as_str(), &body["valid"]), (Some("approved"), &Value::Bool(true)));
    assert_eq!(client.refused(&check, &[("To", CALLER), ("Code", &code)]).await, (404, 20404));
    assert_eq!(client.refused(&start, &[("To", CALLER), ("Channel", "pigeon")]).await, (400, 60200));
    let elsewhere = "/v2/Services/VA0/Verifications";
    assert_eq!(client.refused(elsewhere, &[("To", CALLER), ("Channel", "sms")]).await, (404, 20404));
}

#[tokio::test]
async fn a_code_can_be_tried_and_sent_five_times() {
    let client = Client::start().await;
    let (start, check) = (client.verify("Verifications"), client.verify("VerificationCheck"));
    for _ in 0..5 {
        assert_eq!(client.post(&start, &[("To", CALLER), ("Channel", "sms")]).await.0, 201);
    }
    assert_eq!(client.refused(&start, &[("To", CALLER), ("Channel", "sms")]).await, (429, 60203));
    let code = client.stand_in.code_for(CALLER).unwrap();
    for _ in 0..5 {
        assert_eq!(client.post(&check, &[("To", CALLER), ("Code", "0")]).await.0, 201);
    }
    assert_eq!(client.refused(&check, &[("To", CALLER), ("Code", &code)]).await, (404, 60202));
}

#[tokio::test]
async fn what_is_to_go_wrong_does() {
    let client = Client::start().await;
    let path = client.account("Messages.json");
    let form = [("To", CALLER), ("From", "+18005550199"), ("Body", "Hello")];
    client.stand_in.fail("Messages.json", Fault::Throttled, 2);
    client.stand_in.fail("Messages.json", Fault::Status(500), 1);
    assert_eq!(client.refused(&client.verify("VerificationCheck"), &form).await, (400, 60200));
    assert_eq!(client.refused(&path, &form).await, (429, 20429));
    assert_eq!(client.refused(&path, &form).await, (429, 20429));
    assert_eq!(client.refused(&path, &form).await.0, 500);
    assert!(client.stand_in.messages().is_empty());
    client.stand_in.fail("Messages.json", Fault::Hang, 1);
    let options = client.stand_in.options();
    let request = client.http.post(format!("{}{path}", client.stand_in.endpoint())).form(&form);
    let request = request.basic_auth(&options.api_key_sid, Some(&options.api_key_secret));
    let impatient = request.timeout(Duration::from_millis(300)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    assert_eq!(client.post(&path, &form).await.0, 201);
    client.stand_in.shutdown().await;
}

#[tokio::test]
async fn a_call_that_cannot_be_placed_is_refused() {
    let client = Client::start().await;
    let path = client.account("Calls.json");
    let good = [("To", CALLER), ("From", "+18005550199"), ("Url", "https://a.example/x")];
    let long = format!("<Response>{}</Response>", " ".repeat(4000));
    for (name, value, code) in [
        ("To", "", 21201),
        ("To", "12", 21211),
        ("From", "", 21213),
        ("From", "me", 21212),
        ("Url", "", 21205),
        ("Url", "ftp://x", 21205),
        ("StatusCallbackEvent", "answered perhaps", 21626),
        ("MachineDetection", "Maybe", 20001),
    ] {
        let mut form: Vec<_> = good.into_iter().filter(|(field, _)| *field != name).collect();
        form.push((name, value));
        assert_eq!(client.refused(&path, &form).await, (400, code), "{name}={value}");
    }
    let twiml = [("To", CALLER), ("From", "+18005550199"), ("Twiml", long.as_str())];
    assert_eq!(client.refused(&path, &twiml).await, (400, 20001));
    assert_eq!(client.refused(&path, &good).await, (500, 20500), "no carrier takes part");
    assert_eq!(client.refused(&client.account("Calls/CA0.json"), &[]).await, (404, 20404));
}
