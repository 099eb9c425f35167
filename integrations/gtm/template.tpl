___TERMS_OF_SERVICE___

By creating or modifying this file you agree to Google Tag Manager's Community
Template Gallery Developer Terms of Service available at
https://developers.google.com/tag-manager/gallery-tos (or such other URL as
Google may provide), as modified from time to time.


___INFO___

{
  "type": "TAG",
  "id": "cvt_temp_public_id",
  "version": 1,
  "securityGroups": [],
  "displayName": "Counterfoil",
  "categories": [
    "CONVERSIONS",
    "ADVERTISING"
  ],
  "brand": {
    "id": "brand_counterfoil",
    "displayName": "Counterfoil"
  },
  "description": "Meta Pixel and Conversions API as one event: loads your relay's snippet, sends events to both, and passes consent on.",
  "containerContexts": [
    "WEB"
  ]
}


___TEMPLATE_PARAMETERS___

[
  {
    "type": "SELECT",
    "name": "action",
    "displayName": "What this tag does",
    "selectItems": [
      {
        "value": "load",
        "displayValue": "Load the snippet (once, on every page)"
      },
      {
        "value": "track",
        "displayValue": "Send an event to the Pixel and the relay"
      },
      {
        "value": "consent",
        "displayValue": "Say what the visitor has decided"
      }
    ],
    "simpleValueType": true,
    "defaultValue": "load"
  },
  {
    "type": "TEXT",
    "name": "relay",
    "displayName": "The relay's address",
    "simpleValueType": true,
    "help": "As browsers see it, such as https://relay.shop.example",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      },
      {
        "type": "REGEX",
        "args": [
          "^https://[^/?#]+(/[A-Za-z0-9_-]+)*$"
        ],
        "errorMessage": "https, a host, perhaps a path; nothing after it"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "site",
    "displayName": "The site's key",
    "simpleValueType": true,
    "help": "As in relay.toml and in the tag that `counterfoil snippet` prints",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      },
      {
        "type": "REGEX",
        "args": [
          "^[A-Za-z0-9_-]{3,64}$"
        ],
        "errorMessage": "3 to 64 letters, digits, - and _"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "SELECT",
    "name": "consent",
    "displayName": "Consent",
    "help": "Where the visitor's consent comes from",
    "selectItems": [
      {
        "value": "none",
        "displayValue": "As the page's own fbq('consent', \u2026) says"
      },
      {
        "value": "google",
        "displayValue": "Google's consent mode (ad_storage and ad_user_data)"
      },
      {
        "value": "tag",
        "displayValue": "From another tag of this template (wait for it)"
      }
    ],
    "simpleValueType": true,
    "defaultValue": "google",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "CHECKBOX",
    "name": "ga4",
    "checkboxText": "Take GA4 ecommerce events from the dataLayer",
    "simpleValueType": true,
    "help": "Then no tags for these events are needed",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "load",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "eventName",
    "displayName": "Event",
    "simpleValueType": true,
    "help": "Meta's name, such as Purchase, or one of your own",
    "defaultValue": "Purchase",
    "valueValidators": [
      {
        "type": "NON_EMPTY"
      }
    ],
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "value",
    "displayName": "Value",
    "simpleValueType": true,
    "help": "A number",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "currency",
    "displayName": "Currency",
    "simpleValueType": true,
    "help": "Three letters, such as EUR",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "customData",
    "displayName": "More data (object)",
    "simpleValueType": true,
    "help": "A variable that is an object, such as {content_ids: ['A1'], order_id: '1001'}",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "userData",
    "displayName": "Customer data (object)",
    "simpleValueType": true,
    "help": "A variable that is an object of Meta's keys, such as {em: 'ada@example.com'}; hashed before it is kept",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "eventId",
    "displayName": "event_id",
    "simpleValueType": true,
    "help": "Leave it empty, and the browser makes one. An id that a page cache has frozen makes many visitors one",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "TEXT",
    "name": "signature",
    "displayName": "Signature",
    "simpleValueType": true,
    "help": "Of the shop's server, for events that the site wants signed",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "track",
        "type": "EQUALS"
      }
    ]
  },
  {
    "type": "SELECT",
    "name": "decision",
    "displayName": "The visitor's decision",
    "selectItems": [
      {
        "value": "grant",
        "displayValue": "granted"
      },
      {
        "value": "revoke",
        "displayValue": "denied or withdrawn"
      }
    ],
    "simpleValueType": true,
    "defaultValue": "grant",
    "enablingConditions": [
      {
        "paramName": "action",
        "paramValue": "consent",
        "type": "EQUALS"
      }
    ]
  }
]


___SANDBOXED_JS_FOR_WEB_TEMPLATE___

const callInWindow = require('callInWindow');
const copyFromWindow = require('copyFromWindow');
const createArgumentsQueue = require('createArgumentsQueue');
const encodeUriComponent = require('encodeUriComponent');
const getType = require('getType');
const injectScript = require('injectScript');
const logToConsole = require('logToConsole');

// Calls wait in counterfoil.q until the snippet is there; then they are its own.
const call = (command, name, values, options) => {
  if (copyFromWindow('counterfoil.live')) callInWindow('counterfoil', command, name, values, options);
  else createArgumentsQueue('counterfoil', 'counterfoil.q')(command, name, values, options);
};

const fail = (reason) => {
  logToConsole('Counterfoil: ' + reason);
  data.gtmOnFailure();
};

const copyInto = (target, source) => {
  if (getType(source) === 'object') for (const key in source) target[key] = source[key];
  return target;
};

const load = () => {
  // injectScript can set no attributes: the query stands for them.
  let query = '?site=' + encodeUriComponent(data.site);
  if (data.consent === 'google') query += '&consent=google';
  if (data.consent === 'tag') query += '&consent=';
  if (data.ga4) query += '&ga4=';
  // A path of the relay's has to be told; without one the snippet finds it by itself.
  if (data.relay.split('/').length > 3) query += '&endpoint=' + encodeUriComponent(data.relay + '/v1/events');
  const url = data.relay + '/c.js' + query;
  injectScript(url, data.gtmOnSuccess, () => fail(url + ' could not be loaded.'), url);
};

const track = () => {
  const values = copyInto({}, data.customData);
  if (data.value !== undefined && data.value !== '') values.value = data.value;
  if (data.currency) values.currency = data.currency;
  const options = {};
  if (data.eventId) options.eventID = data.eventId;
  if (data.signature) options.signature = data.signature;
  if (getType(data.userData) === 'object') options.userData = copyInto({}, data.userData);
  if (data.eventName === 'Purchase' && (values.value === undefined || !values.currency))
    return fail('a Purchase needs a value and a currency.');
  call('track', data.eventName, values, options);
  data.gtmOnSuccess();
};

if (data.action === 'load') load();
else if (data.action === 'track') track();
else {
  call('consent', data.decision);
  data.gtmOnSuccess();
}


___WEB_PERMISSIONS___

[
  {
    "instance": {
      "key": {
        "publicId": "access_globals",
        "versionId": "1"
      },
      "param": [
        {
          "key": "keys",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "counterfoil"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "counterfoil.q"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              },
              {
                "type": 3,
                "mapKey": [
                  {
                    "type": 1,
                    "string": "key"
                  },
                  {
                    "type": 1,
                    "string": "read"
                  },
                  {
                    "type": 1,
                    "string": "write"
                  },
                  {
                    "type": 1,
                    "string": "execute"
                  }
                ],
                "mapValue": [
                  {
                    "type": 1,
                    "string": "counterfoil.live"
                  },
                  {
                    "type": 8,
                    "boolean": true
                  },
                  {
                    "type": 8,
                    "boolean": false
                  },
                  {
                    "type": 8,
                    "boolean": false
                  }
                ]
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "inject_script",
        "versionId": "1"
      },
      "param": [
        {
          "key": "urls",
          "value": {
            "type": 2,
            "listItem": [
              {
                "type": 1,
                "string": "https://*/c.js?site=*"
              }
            ]
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  },
  {
    "instance": {
      "key": {
        "publicId": "logging",
        "versionId": "1"
      },
      "param": [
        {
          "key": "environments",
          "value": {
            "type": 1,
            "string": "debug"
          }
        }
      ]
    },
    "clientAnnotations": {
      "isEditedByUser": true
    },
    "isRequired": true
  }
]


___TESTS___

scenarios:
- name: Load names the site in the query
  code: |-
    mock('injectScript', (url, onSuccess) => onSuccess());
    runCode({ action: 'load', relay: 'https://relay.shop.example', site: 'demo-shop', consent: 'none' });
    assertApi('injectScript').wasCalled();
    assertApi('gtmOnSuccess').wasCalled();
- name: A Purchase without a currency fails
  code: |-
    runCode({ action: 'track', eventName: 'Purchase', value: 5 });
    assertApi('gtmOnFailure').wasCalled();


___NOTES___

See integrations/gtm/README.md of the Counterfoil project. Apache-2.0.
