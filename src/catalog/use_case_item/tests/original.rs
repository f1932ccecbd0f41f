//! Records as the loaders of the replaced system print them must work without an edit.

use serde_json::Value;
use voice_core::use_case::{Handler, KeypadHandler, RestaurantTool, UseCase};

use super::{ParsedUseCase, parse};
use crate::catalog::dynamodb_json::from_dynamodb;
use crate::catalog::profile_item::parse_profile;

const RESTAURANT: &str = include_str!("../../../../tests/fixtures/original/restaurantOrderingUseCase.json");
const EINSTEIN: &str = include_str!("../../../../tests/fixtures/original/albertEinsteinUseCase.json");
const PROFILE: &str = include_str!("../../../../tests/fixtures/original/user-profile.json");

fn load(printed: &str) -> ParsedUseCase {
    let printed: Value = serde_json::from_str(printed).unwrap();
    let parsed = parse(&from_dynamodb(&printed).unwrap()).unwrap();
    assert_eq!(parsed.attribute_errors, []);
    parsed
}

fn warned_paths(parsed: &ParsedUseCase) -> Vec<&str> {
    parsed.warnings.iter().map(|warning| warning.path.as_str()).collect()
}

fn tool_names(use_case: &UseCase) -> Vec<&str> {
    use_case.tools.iter().map(|tool| tool.name.as_str()).collect()
}

#[test]
fn the_restaurant_means_what_it_meant() {
    let parsed = load(RESTAURANT);
    // Its keypad names two functions that never existed, and one attribute is out of date.
    assert_eq!(
        warned_paths(&parsed),
        [
            "dtmfHandlers.1.replyFunction",
            "dtmfHandlers.2.replyFunction",
            "conversationRelayParams.interruptByDtmf"
        ]
    );
    let use_case = parsed.use_case;
    assert_eq!(use_case.name, "restaurantOrderingUseCase");
    assert!(
        use_case.prompt.starts_with("# Task\nYou take pizza orders for \"Test Kitchen\""),
        "{}",
        use_case.prompt
    );
    assert!(use_case.prompt.contains("<<USER_CONTEXT>>\n\n"), "{}", use_case.prompt);
    assert_eq!(
        tool_names(&use_case),
        ["PlaceOrderFunction", "CheckRestaurantPickUpTime", "CheckRestaurantDeliveryTime"]
    );
    let order_line = &use_case.tools[0].input_schema["properties"]["current_order"]["items"]["properties"];
    assert_eq!(order_line["additonal_details"]["type"], "string");
    assert_eq!(use_case.tools[0].handler, Handler::Restaurant(RestaurantTool::PlaceOrder));
    assert_eq!(use_case.relay_attributes["dtmfDetection"], "true");
    assert_eq!(use_case.relay_attributes["ttsProvider"], "google");
    assert_eq!(use_case.relay_attributes["voice"], "en-US-Journey-O");
    assert_eq!(use_case.keypad.keys().collect::<String>(), "0123456789");
    assert_eq!(use_case.keypad[&'0'], KeypadHandler::Reply { text: "You chose 0.".to_owned() });
    let left_over = KeypadHandler::ReplyAndRun {
        text: "One moment, I will look for free apartments.".to_owned(),
        tool: "ListAvailableApartmentsFunction".to_owned(),
    };
    assert_eq!(use_case.keypad[&'1'], left_over);
}

#[test]
fn einstein_means_what_he_meant() {
    let use_case = load(EINSTEIN).use_case;
    assert_eq!(use_case.prompt, "You speak as the physicist.\nKeep it short.");
    assert_eq!(tool_names(&use_case), ["CheckRestaurantDeliveryTime"]);
    assert_eq!(use_case.relay_attributes["voice"], "tnSpp4vdxKPjI9w0GnoV");
}

#[test]
fn a_profile_means_what_it_meant() {
    let profile = parse_profile(&from_dynamodb(&serde_json::from_str(PROFILE).unwrap()).unwrap());
    assert_eq!(profile.number.expose(), "+14155550142");
    assert_eq!(profile.first_name.unwrap().expose(), "Grace");
    assert_eq!(profile.use_case.as_deref(), Some("restaurantOrderingUseCase"));
    assert_eq!(profile.attributes.expose()["email"], "grace@example.com");
}
